"""/v1/me, /v1/keys, /v1/sign-in-links and /v1/audit-events: API keys and the audit log."""

from typing import Annotated

from fastapi import Path, Request
from pydantic import Field, field_validator
from starlette.concurrency import run_in_threadpool

from answerback.api.dependencies import CurrentPrincipal, Cursor, PageSize, Principal, StrictBody, ValidText
from answerback.api.routes import CONFLICT, FORBIDDEN, NOT_FOUND, Routes
from answerback.auth.api_keys import draft_api_key, validate_key_name
from answerback.auth.sign_in_links import SignInLinks
from answerback.domain.models import ApiKey, Role
from answerback.errors import ResourceNotFound
from answerback.ledger import Ledger
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import CreateKey, RevokeKey
from answerback.schemas.keys import AuditEventView, CreatedKeyView, CurrentKeyView, KeyView, SignInLinkView
from answerback.schemas.view import PageView


class KeyCreate(StrictBody):
    """A new API key."""

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


class SignInLinkCreate(StrictBody):
    """Whom a link is to sign in."""

    key: ValidText | None = Field(
        default=None,
        description="name of the key whose rights the link gives, by default that of this request; another one requires the role admin",
        examples=["night-shift"],
    )


def build_routes(ledger: Ledger, writer: LedgerClient, links: SignInLinks, public_url: str | None) -> Routes:
    router = Routes("access")
    _add_read_routes(router, ledger)
    _add_write_routes(router, writer)
    _add_link_route(router, ledger, links, public_url)
    return router


def _add_read_routes(router: Routes, ledger: Ledger) -> None:
    @router.get("/v1/me", summary="Get the key of this request, and its role")
    async def get_me(principal: CurrentPrincipal) -> CurrentKeyView:
        return CurrentKeyView.of(principal.key)

    @router.get("/v1/keys", summary="List API keys, without the admin key", role=Role.ADMIN)
    def list_keys() -> PageView[KeyView]:
        return PageView(items=list(map(KeyView.of, ledger.keys())))

    @router.get("/v1/audit-events", summary="List audit events, newest first", role=Role.ADMIN)
    def list_audit_events(cursor: Cursor = None, page_size: PageSize = 50) -> PageView[AuditEventView]:
        return PageView.of(ledger.audit_events(cursor, page_size), AuditEventView.read_from)


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


def _add_link_route(router: Routes, ledger: Ledger, links: SignInLinks, public_url: str | None) -> None:
    @router.post(
        "/v1/sign-in-links",
        status_code=201,
        summary="Create a link that signs in to the console, once and within ten minutes",
        responses=NOT_FOUND | FORBIDDEN,
    )
    async def create_sign_in_link(
        body: SignInLinkCreate, request: Request, principal: CurrentPrincipal
    ) -> SignInLinkView:
        key = await run_in_threadpool(_key_for_link, ledger, principal, body.key)
        link = await links.create(principal.actor, key)
        return SignInLinkView(
            key=key.name, url=link.url(public_url or str(request.base_url)), expires_at=link.expires_at
        )


def _key_for_link(ledger: Ledger, principal: Principal, name: str | None) -> ApiKey:
    """The key that a link is for. Raises ResourceNotFound, PermissionDenied where it would give rights that the caller does not have."""
    if name in (None, principal.key.name):
        return principal.key
    principal.require_role(Role.ADMIN)
    key = next((key for key in ledger.keys() if key.name == name), None)  # noqa: SIM118  # a ledger is no dict
    if key is None:
        raise ResourceNotFound(f"key: there is no key {name} to make a link for")
    if key.full_numbers:
        principal.actor.require_full_numbers()
    return key
