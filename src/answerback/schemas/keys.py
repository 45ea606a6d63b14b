"""API keys, and the audit log."""

from datetime import datetime
from typing import Self

from pydantic import Field

from answerback.domain.models import ApiKey, Role
from answerback.schemas.view import View


class CurrentKeyView(View):
    """The key of a request, and its role."""

    name: str = Field(examples=["night-shift"])
    role: Role = Field(description="viewer: read; operator: also make changes and replay; admin: also manage keys")
    full_numbers: bool = Field(description="whether phone numbers are shown in full")

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(**{name: getattr(key, name) for name in cls.model_fields})


class KeyView(CurrentKeyView):
    """An API key, without the key itself, which is not stored."""

    id: int
    created_at: datetime


class CreatedKeyView(KeyView):
    """A new API key with the key itself, shown only once."""

    key: str = Field(examples=["ab_3vC9rKqg0qk2m8xJfT7yZbWd1hPnLsEuA5oGiX4QtRw"])

    @classmethod
    def with_key(cls, made: ApiKey, key: str) -> "CreatedKeyView":
        return cls(**KeyView.of(made).model_dump(), key=key)


class SignInLinkView(View):
    """A link into the console that opens once, and only until it expires."""

    key: str = Field(description="the name of the key whose rights it gives", examples=["night-shift"])
    url: str = Field(
        description="the link, shown only once",
        examples=["https://voice.example.com/console/sign-in/link#once.night-shift.7.1470197826.Zb…"],
    )
    expires_at: datetime


class AuditEventView(View):
    """An audit event: who did what to what, recorded in the same transaction."""

    id: int
    occurred_at: datetime
    actor: str = Field(
        description="the name of a key, or `admin`, `command line`, `config file`, `the gateway`",
        examples=["night-shift", "command line"],
    )
    action: str = Field(examples=["endpoint_changed", "numbers_revealed", "exported", "key_created"])
    target: str = Field(
        description="what it was done to: numbers are masked, URLs of endpoints cut to scheme and host",
        examples=["crm at https://crm.example.com (url)"],
    )
