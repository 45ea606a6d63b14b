"""/v1/me, /v1/keys and /v1/audit-events: who may do what, and who did what."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from answerback.api.dependencies import ADMIN, CONFLICT, FORBIDDEN, NOT_FOUND, PROBLEMS, UNFIT, Asking, Cursor, Limit
from answerback.api.routes import Routes
from answerback.auth.api_keys import draft_key, unfit_key_name
from answerback.domain.models import Role
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CreateKey, RevokeKey
from answerback.schemas.calls import AuditEventView, KeyView, Listing, MeView, NewKeyView


class NewKey(BaseModel):
    """A key that is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="up to 64 small letters, digits, - and _, not digits alone",
        examples=["night-shift"],
        json_schema_extra={"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$", "not": {"pattern": "^([0-9]+|admin)$"}},
    )
    role: Role = Field(description="viewer: look; operator: also change and tell again; admin: also keys")
    full_numbers: bool = Field(default=False, strict=True, description="whether it may see phone numbers in full")

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if problem := unfit_key_name(name):
            raise ValueError(problem)
        return name


def routes(ledger: Ledger, writer: LedgerClient) -> Routes:
    """The routes /v1/me, /v1/audit-events, and those below /v1/keys."""
    router = Routes("access")
    _add_looking(router, ledger)
    _add_changing(router, writer)
    return router


def _add_looking(router: Routes, ledger: Ledger) -> None:
    @router.get("/v1/me", summary="Whose key this is, and what it may do", responses=PROBLEMS)
    async def get_me(reader: Asking) -> MeView:
        return MeView.of(reader.key)

    @router.get(
        "/v1/keys", summary="All keys but the admin key, by name", responses=PROBLEMS | FORBIDDEN, dependencies=[ADMIN]
    )
    def list_keys() -> Listing[KeyView]:
        return Listing(items=list(map(KeyView.of, ledger.keys())))

    @router.get(
        "/v1/audit-events",
        summary="Who did what to what, newest first",
        responses=PROBLEMS | FORBIDDEN,
        dependencies=[ADMIN],
    )
    def list_audit_events(cursor: Cursor = None, limit: Limit = 50) -> Listing[AuditEventView]:
        page = ledger.audit_events(cursor, limit)
        return Listing(items=[AuditEventView.of(event) for event in page.items], next_cursor=page.next_cursor)


def _add_changing(router: Routes, writer: LedgerClient) -> None:
    @router.post(
        "/v1/keys",
        status_code=201,
        summary="Make a key; the answer is the only one that shows it",
        responses=PROBLEMS | FORBIDDEN | CONFLICT | UNFIT,
        dependencies=[ADMIN],
    )
    async def create_key(body: NewKey, reader: Asking) -> NewKeyView:
        key, draft = draft_key(body.name, body.role, full_numbers=body.full_numbers)
        return NewKeyView.with_key(await writer.ask(CreateKey(reader.actor, draft)), key)

    @router.delete(
        "/v1/keys/{name}",
        status_code=204,
        summary="Revoke a key, by name or id: it opens nothing any more",
        responses=PROBLEMS | FORBIDDEN | NOT_FOUND,
        dependencies=[ADMIN],
    )
    async def revoke_key(name: str, reader: Asking) -> None:
        await writer.ask(RevokeKey(reader.actor, name))
