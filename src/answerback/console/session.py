"""Who is signed in: a signed cookie that is bound to one key, which is looked up at every request."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import unquote

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from answerback.auth.api_keys import bind_key
from answerback.console.dependencies import ConsoleDependencies
from answerback.console.links import Links
from answerback.domain.models import ApiKey
from answerback.ledger.commands import EndSession
from answerback.ledger.types import to_us

COOKIE = "answerback_session"

_TOKEN_BYTES = 18
_HOUR_S = 3600


class Session(NamedTuple):
    """Who is signed in, and the token that their forms carry, by which the session is known."""

    principal: ApiKey
    token: str


class Sessions:
    """Signs cookies and reads them. The secret is the server's: a new one ends every session."""

    def __init__(self, deps: ConsoleDependencies) -> None:
        self._deps = deps
        self._serializer = URLSafeTimedSerializer(deps.session_key, signer_kwargs={"digest_method": hashlib.sha256})
        self._max_age_s = deps.session_hours * _HOUR_S

    def sign_in(self, principal: ApiKey, response: Response) -> None:
        value = self._serializer.dumps(
            [principal.id, bind_key(principal, self._deps.session_key), secrets.token_urlsafe(_TOKEN_BYTES)]
        )
        response.set_cookie(
            COOKIE,
            value,
            max_age=self._max_age_s,
            path=self._deps.links.console,
            secure=self._deps.is_https,
            httponly=True,
            samesite="lax",
        )

    async def sign_out(self, session: Session, response: Response) -> None:
        """Sign out, of every copy of the cookie. Raises LedgerUnavailable."""
        expires_us = to_us(datetime.now(UTC) + timedelta(seconds=self._max_age_s))
        await self._deps.ledger_client.execute(EndSession(session.token, expires_us))
        response.delete_cookie(
            COOKIE, self._deps.links.console, secure=self._deps.is_https, httponly=True, samesite="lax"
        )

    def find(self, cookies: Mapping[str, str]) -> Session | None:
        """The session of a request; None where there is none, it has ended, or its key opens nothing any more.

        Blocks for as long as the ledger does. Raises LedgerUnavailable.
        """
        try:
            key_id, binding, token = self._serializer.loads(cookies.get(COOKIE, ""), max_age=self._max_age_s)
        except BadData:
            return None
        principal = self._deps.key_verifier.find_session_key(token, key_id)
        if principal is None or not hmac.compare_digest(binding, bind_key(principal, self._deps.session_key)):
            return None
        return Session(principal, token)


def is_valid_csrf(offered: str, token: str) -> bool:
    return hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), token.encode())


def safe_redirect(target: str, links: Links) -> str:
    """`target`, if it is a page of this console, else its first page."""
    path = target.partition("?")[0]
    plain = target.isascii() and target.isprintable() and not set(unquote(path).split("/")[1:]) & {"", ".", ".."}
    good = links.contains(path) and plain and "\\" not in target and not path.startswith(f"{links.console}/sign-")
    return target if good else links.console
