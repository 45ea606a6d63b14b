"""Letting keys in, many requests at once."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

from answerback.auth.api_keys import AdminKey, KeyVerifier, generate_api_key
from answerback.auth.attempt_limits import ADDRESS_BURST, AttemptLimiter
from answerback.auth.authenticator import Authenticator
from answerback.auth.sign_in_links import SignInLinks
from answerback.domain.models import ApiKey, Role
from answerback.errors import TooManyAttempts

_NOW = datetime(2026, 1, 31, tzinfo=UTC)
_SCOPE = {"client": ("192.0.2.1", 1), "headers": []}
_MANY = 3 * ADDRESS_BURST


class SlowLedger:
    """Knows the keys of `holder`, or nobody's, and says so only once it is `released`."""

    def __init__(self, holder: str | None) -> None:
        self.holder = holder
        self.released = threading.Event()

    def key_of(self, digest: bytes) -> ApiKey | None:
        """Wait, then tell."""
        assert self.released.wait(10)
        if self.holder is None:
            return None
        return ApiKey(id=1, name=self.holder, digest=digest, role=Role.VIEWER, full_numbers=False, created_at=_NOW)

    def key_of_session(self, session: str, key_id: int) -> ApiKey | None:
        """Nobody is signed in."""

    def has_ended(self, session: str) -> bool:
        """No session has."""
        return not session


async def answers(ledger: SlowLedger) -> list[ApiKey | BaseException | None]:
    """What many requests with one new key get that come before the ledger has said a word of it."""
    key_authenticator = KeyVerifier(AdminKey("secret", created=False, created_at=_NOW), ledger)
    nobody: Any = None
    authenticator = Authenticator(
        key_authenticator, AttemptLimiter(lambda: 0.0), [], SignInLinks(key_authenticator, b"key", nobody)
    )
    key = generate_api_key()
    asking = [asyncio.ensure_future(authenticator.authenticate(key, _SCOPE, "api")) for _ in range(_MANY)]
    asyncio.get_running_loop().call_soon(ledger.released.set)  # after each of them has begun
    return await asyncio.gather(*asking, return_exceptions=True)


def test_many_requests_at_once_with_a_right_key_all_get_in() -> None:
    """As a busy program sends them to a gateway that was started just now."""
    got = asyncio.run(answers(SlowLedger("crm")))
    assert [isinstance(one, ApiKey) and one.name for one in got] == ["crm"] * _MANY


def test_many_requests_at_once_with_a_wrong_key_are_as_many_tries() -> None:
    """They wait for one another, and are bounded all the same."""
    got = asyncio.run(answers(SlowLedger(None)))
    assert got[:ADDRESS_BURST] == [None] * ADDRESS_BURST
    assert all(isinstance(one, TooManyAttempts) for one in got[ADDRESS_BURST:])
