"""How Django knows the application."""

from django.apps import AppConfig


class AnswerbackConfig(AppConfig):
    name = "answerback.receiver.django"
    label = "answerback"
    verbose_name = "Answerback"
    default_auto_field = "django.db.models.BigAutoField"
