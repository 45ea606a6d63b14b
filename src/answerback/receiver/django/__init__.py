"""A Django application with a receiver's tables: `answerback.receiver.django` among INSTALLED_APPS, then `manage.py migrate`."""

from answerback.receiver.django.store import DjangoStore
from answerback.receiver.django.views import voice_event

__all__ = ["DjangoStore", "voice_event"]
