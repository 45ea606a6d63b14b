"""/v1/me, /v1/keys and /v1/audit-events: API keys and the audit log."""

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, field_validator

from answerback.api.dependencies import CurrentPrincipal, Cursor, Limit
from answerback.api.routes import CONFLICT, NOT_FOUND, Routes
from answerback.auth.api_keys import draft_api_key, validate_key_name
from answerback.domain.models import Role
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CreateKey, RevokeKey
from answerback.schemas.keys import AuditEventView, CreatedKeyView, CurrentKeyView, KeyView
from answerback.schemas.view import PageView


class KeyCreate(BaseModel):
    """A new API key."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="up to 64 lowercase letters, digits, - and _, not digits alone",
        examples=["night-shift"],
        json_schema_extra={"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$", "not": {"pattern": "^([0-9]+|admin)$"}},
    )
    role: Role = Field(description="viewer: read; operator: also make changes and replay; admin: also manage keys")
    full_numbers: bool = Field(default=False, strict=True, description="whether it may see phone numbers in full")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if problem := validate_key_name(name):
            raise ValueError(problem)
        return name


def build_routes(ledger: Ledger, writer: LedgerClient) -> Routes:
    router = Routes("access")
    _add_read_routes(router, ledger)
    _add_write_routes(router, writer)
    return router


def _add_read_routes(router: Routes, ledger: Ledger) -> None:
    @router.get("/v1/me", summary="Get the key of this request, and its role")
    async def get_me(principal: CurrentPrincipal) -> CurrentKeyView:
        return CurrentKeyView.of(principal.key)

    @router.get("/v1/keys", summary="List API keys, without the admin key", role=Role.ADMIN)
    def list_keys() -> PageView[KeyView]:
        return PageView(items=list(map(KeyView.of, ledger.keys())))

    @router.get("/v1/audit-events", summary="List audit events, newest first", role=Role.ADMIN)
    def list_audit_events(cursor: Cursor = None, limit: Limit = 50) -> PageView[AuditEventView]:
        return PageView.of(ledger.audit_events(cursor, limit), AuditEventView.read_from)


def _add_write_routes(router: Routes, writer: LedgerClient) -> None:
    @router.post(
        "/v1/keys",
        status_code=201,
        summary="Create a key; only this response shows it",
        responses=CONFLICT,
        role=Role.ADMIN,
    )
    async def create_key(body: KeyCreate, principal: CurrentPrincipal) -> CreatedKeyView:
        key, draft = draft_api_key(body.name, body.role, full_numbers=body.full_numbers)
        return CreatedKeyView.with_key(await writer.execute(CreateKey(principal.actor, draft)), key)

    @router.delete(
        "/v1/keys/{name}",
        status_code=204,
        summary="Revoke a key, by name or id: it stops working at once",
        responses=NOT_FOUND,
        role=Role.ADMIN,
    )
    async def revoke_key(
        name: Annotated[str, Path(description="name or id of a key", examples=["night-shift"])],
        principal: CurrentPrincipal,
    ) -> None:
        await writer.execute(RevokeKey(principal.actor, name))
