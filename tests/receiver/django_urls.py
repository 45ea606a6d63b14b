"""The URLs of a Django application: those of the receiver that is tested."""

from typing import Any

urlpatterns: list[Any] = []
