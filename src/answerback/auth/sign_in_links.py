"""One-time links into the console: signed, so that nobody makes one up, and used up in the ledger, so that each opens once."""

import asyncio
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from itsdangerous import BadSignature, Signer

from answerback.auth.api_keys import KeyVerifier, bind_key
from answerback.domain.models import ApiKey
from answerback.errors import LinkRefusal, LinkRefused
from answerback.ledger.admin.audit import Actor, AuditAction
from answerback.ledger.client import LedgerClient
from answerback.ledger.commands import RecordAuditEvent, UseSignInLink
from answerback.ledger.types import to_us

LIFETIME = timedelta(minutes=10)
PREFIX = "once"
"""How the code in a link begins; behind it is the name of the key, in clear, so that the page can say whom the link signs in."""

_ID_BYTES = 18
_REMEMBERED = timedelta(hours=1)  # longer than it opens, for clocks that differ


class SignInLink(NamedTuple):
    """A link's code, and when it opens no more."""

    code: str
    expires_at: datetime

    def url(self, base: str) -> str:
        """The link at a gateway's URL: the code is behind the #, so that no request, log or Referer has it."""
        return f"{base.rstrip('/')}/console/sign-in/link#{self.code}"


class SignInLinks:
    """Makes links and redeems them. All processes that share ledger and server secret open each other's, each once."""

    def __init__(self, verifier: KeyVerifier, session_key: bytes, ledger_client: LedgerClient) -> None:
        self._verifier = verifier
        self._session_key = session_key
        self._ledger_client = ledger_client
        self._signer = Signer(session_key, salt="sign-in link", digest_method=hashlib.sha256)

    async def create(self, actor: Actor, key: ApiKey) -> SignInLink:
        """A link that signs in with the rights of `key`, which is an audit event first. Raises LedgerUnavailable."""
        await self._ledger_client.execute(RecordAuditEvent(actor, AuditAction.SIGN_IN_LINK_CREATED, ("for", key.name)))
        expires_at = datetime.now(UTC) + LIFETIME
        fields = (key.name, key.id, int(expires_at.timestamp()), secrets.token_urlsafe(_ID_BYTES))
        text = ".".join(map(str, (PREFIX, *fields, bind_key(key, self._session_key))))
        return SignInLink(self._signer.sign(text).decode(), expires_at)

    async def redeem(self, code: str) -> ApiKey:
        """Whose link it is, which is used up by this. Raises LinkRefused, LedgerUnavailable."""
        try:
            _, _, key_id, expires_s, id_, binding = self._signer.unsign(code.encode()).decode().split(".")
        except (BadSignature, UnicodeEncodeError) as error:
            raise LinkRefused(LinkRefusal.UNKNOWN) from error
        now = datetime.now(UTC)
        if now.timestamp() > int(expires_s):
            raise LinkRefused(LinkRefusal.EXPIRED)
        key = await asyncio.to_thread(self._find_key, id_, int(key_id))
        if not hmac.compare_digest(binding, bind_key(key, self._session_key)):
            raise LinkRefused(LinkRefusal.UNKNOWN)
        if not await self._ledger_client.execute(UseSignInLink(Actor.of(key), id_, to_us(now + _REMEMBERED))):
            raise LinkRefused(LinkRefusal.USED)
        return key

    def _find_key(self, link_id: str, key_id: int) -> ApiKey:
        key = self._verifier.find_session_key(link_id, key_id)
        if key is None:
            raise LinkRefused(LinkRefusal.USED if self._verifier.has_ended(link_id) else LinkRefusal.UNKNOWN)
        return key
