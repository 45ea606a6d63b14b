"""The tables of `DjangoStore`, for migrations and to be looked at; what they mean is in `sql_store.py`."""

from typing import ClassVar

from django.db import models


class ReceivedCallback(models.Model):
    """A callback as it came in. It waits for the handlers while it has a `due_us`."""

    channel = models.TextField()
    callid = models.TextField()
    fingerprint = models.BinaryField(unique=True)
    raw = models.BinaryField()
    received_us = models.BigIntegerField()
    due_us = models.BigIntegerField(null=True)
    duplicates = models.IntegerField(default=0)
    failures = models.IntegerField(default=0)
    delivered_us = models.BigIntegerField(null=True)
    claim = models.BigIntegerField(null=True)

    class Meta:  # noqa: D106  # Django's way
        db_table = "answerback_callbacks"
        indexes: ClassVar = [
            models.Index(fields=["channel", "callid"], name="answerback_callbacks_call"),
            models.Index(fields=["received_us"], name="answerback_callbacks_received"),
            models.Index(fields=["due_us"], name="answerback_callbacks_due", condition=models.Q(due_us__isnull=False)),
            models.Index(
                fields=["channel", "callid", "due_us"],
                name="answerback_callbacks_waiting",
                condition=models.Q(due_us__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"callback {self.pk} of {self.callid}"


class RejectedBody(models.Model):
    """A body that is no callback."""

    channel = models.TextField()
    raw = models.BinaryField()
    result = models.IntegerField()
    reason = models.TextField()
    received_us = models.BigIntegerField()

    class Meta:  # noqa: D106  # Django's way
        db_table = "answerback_rejected"

    def __str__(self) -> str:
        return str(self.reason)
