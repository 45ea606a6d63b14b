"""API keys, and the audit log."""

from datetime import datetime

from pydantic import Field

from answerback.domain.models import ApiKey, Role
from answerback.ledger.admin.audit import AuditEvent
from answerback.schemas.view import View


class CurrentKeyView(View):
    """Whose key this is, and what it may do."""

    name: str = Field(examples=["night-shift"])
    role: Role = Field(description="viewer: look; operator: also change and tell again; admin: also keys")
    full_numbers: bool = Field(description="whether phone numbers are shown in full")

    @classmethod
    def of(cls, key: ApiKey) -> "CurrentKeyView":
        """The view of the holder of `key`."""
        return cls(name=key.name, role=key.role, full_numbers=key.full_numbers)


class KeyView(CurrentKeyView):
    """An API key, but not the key itself: that is not kept."""

    id: int
    created_at: datetime

    @classmethod
    def of(cls, key: ApiKey) -> "KeyView":
        """The view of `key`."""
        return cls(**{name: getattr(key, name) for name in KeyView.model_fields})


class CreatedKeyView(KeyView):
    """The same with the key itself, shown this once."""

    key: str = Field(examples=["ab_3vC9rKqg0qk2m8xJfT7yZbWd1hPnLsEuA5oGiX4QtRw"])

    @classmethod
    def with_key(cls, made: ApiKey, key: str) -> "CreatedKeyView":
        """The view of a key that was just made."""
        return cls(**KeyView.of(made).model_dump(), key=key)


class AuditEventView(View):
    """Who did what to what; written in the transaction of the act."""

    id: int
    occurred_at: datetime
    actor: str = Field(
        description="the name of a key, or `admin`, `command line`, `config file`, `the gateway`",
        examples=["night-shift", "command line"],
    )
    action: str = Field(examples=["endpoint_changed", "numbers_revealed", "exported", "key_created"])
    target: str = Field(
        description="to what: numbers in it are masked; of an endpoint the scheme and host of its URL",
        examples=["crm at https://crm.example.com (url)"],
    )

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditEventView":
        """The view of `event`."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})
