"""The tables as they were first."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations: ClassVar = [
        migrations.CreateModel(
            name="RejectedBody",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.TextField()),
                ("raw", models.BinaryField()),
                ("result", models.IntegerField()),
                ("reason", models.TextField()),
                ("received_us", models.BigIntegerField()),
            ],
            options={
                "db_table": "answerback_rejected",
            },
        ),
        migrations.CreateModel(
            name="ReceivedCallback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("channel", models.TextField()),
                ("callid", models.TextField()),
                ("fingerprint", models.BinaryField(unique=True)),
                ("raw", models.BinaryField()),
                ("received_us", models.BigIntegerField()),
                ("due_us", models.BigIntegerField(null=True)),
                ("duplicates", models.IntegerField(default=0)),
                ("failures", models.IntegerField(default=0)),
                ("delivered_us", models.BigIntegerField(null=True)),
                ("claim", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "answerback_callbacks",
                "indexes": [
                    models.Index(fields=["channel", "callid"], name="answerback_callbacks_call"),
                    models.Index(fields=["received_us"], name="answerback_callbacks_received"),
                    models.Index(
                        condition=models.Q(("due_us__isnull", False)),
                        fields=["due_us"],
                        name="answerback_callbacks_due",
                    ),
                    models.Index(
                        condition=models.Q(("due_us__isnull", False)),
                        fields=["channel", "callid", "due_us"],
                        name="answerback_callbacks_waiting",
                    ),
                ],
            },
        ),
    ]
