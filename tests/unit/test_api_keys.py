import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import ADMIN
from hypothesis import given
from hypothesis import strategies as st

from answerback.auth.api_keys import (
    AdminKey,
    KeyVerifier,
    draft_api_key,
    generate_api_key,
    hash_api_key,
    validate_key_name,
)
from answerback.domain.models import ApiKey, Role
from answerback.errors import ConfigError, LedgerUnavailable, UnavailableReason
from answerback.ledger import open_sqlite
from answerback.ledger.commands import CreateKey, RevokeKey

_MADE = datetime(2026, 1, 31, tzinfo=UTC)


class Away:
    """A ledger that does not answer."""

    def key_of(self, digest: bytes) -> ApiKey | None:
        """Say so."""
        raise LedgerUnavailable(UnavailableReason.UNKNOWN, str(len(digest)))

    def key_of_session(self, session: str, key_id: int) -> ApiKey | None:
        """Say so."""
        raise LedgerUnavailable(UnavailableReason.UNKNOWN, f"{session} {key_id}")

    def has_ended(self, session: str) -> bool:
        """Say so."""
        raise LedgerUnavailable(UnavailableReason.UNKNOWN, session)


@pytest.fixture
def alone() -> KeyVerifier:
    """The admin key `secret`, and a ledger that is away."""
    return KeyVerifier(AdminKey("secret", created=False, created_at=_MADE), Away())


def test_the_admin_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    """New at the first time, the same and not new at the second, and for its owner alone."""
    began = datetime.now(UTC) - timedelta(seconds=2)
    first, second = AdminKey.load_or_create(tmp_path), AdminKey.load_or_create(tmp_path)
    assert (first.created, second.created) == (True, False)
    assert first.key == second.key == (tmp_path / "admin-key").read_text().strip()
    assert stat.S_IMODE((tmp_path / "admin-key").stat().st_mode) == 0o600
    assert first.holder == second.holder
    assert (first.holder.id, first.holder.role, first.holder.full_numbers) == (0, Role.ADMIN, True)
    assert began <= first.holder.created_at <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "\n", "号", "short"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    (tmp_path / "admin-key").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="admin-key"):
        AdminKey.load_or_create(tmp_path)


def test_the_admin_key_opens_while_the_ledger_is_away(alone: KeyVerifier) -> None:
    """It asks nobody; so whoever has it can look at a gateway in trouble."""
    holder = alone.verify("secret")
    assert holder is not None
    assert holder == alone.verify_admin("secret")
    assert (holder.name, holder.role) == ("admin", Role.ADMIN)


def test_another_key_is_not_refused_while_the_ledger_is_away(alone: KeyVerifier) -> None:
    """Nobody knows whether it is right: that is no "wrong key"."""
    with pytest.raises(LedgerUnavailable):
        alone.verify(generate_api_key())
    for key_id in (0, 1):
        with pytest.raises(LedgerUnavailable):
            alone.find_session_key("it may have been ended", key_id)


@given(st.text(max_size=60))
def test_junk_opens_nothing_and_never_troubles_the_ledger(offered: str) -> None:
    """What has not the form of a key is refused without a look into the ledger, lone surrogates and all."""
    key_authenticator = KeyVerifier(AdminKey("secret", created=False, created_at=_MADE), Away())
    if offered != "secret":
        assert key_authenticator.verify(offered) is None
        assert key_authenticator.verify_admin(offered) is None


def test_a_key_of_the_ledger_opens_until_it_is_revoked(tmp_path: Path) -> None:
    """At each look, with the rights it was given; whichever process revokes it."""
    ledger, other = (open_sqlite(tmp_path, allow_unsafe_filesystem=True) for _ in range(2))
    try:
        key_authenticator = KeyVerifier(AdminKey("secret", created=False, created_at=_MADE), ledger)
        key, draft = draft_api_key("night", Role.OPERATOR, full_numbers=True)
        assert key_authenticator.verify(key) is None
        made = CreateKey(ADMIN, draft).run(other)
        assert key_authenticator.verify(key) == key_authenticator.find_session_key("s", made.id) == made
        assert (made.name, made.role, made.full_numbers) == ("night", Role.OPERATOR, True)
        assert key_authenticator.verify_admin(key) is None
        assert key_authenticator.verify(key[:-1] + ("a" if key[-1] != "a" else "b")) is None
        RevokeKey(ADMIN, "night").run(other)
        assert key_authenticator.verify(key) is None
        assert key_authenticator.find_session_key("s", made.id) is None
    finally:
        ledger.close()
        other.close()


def test_new_keys_are_long_and_never_the_same() -> None:
    """256 random bits, told by their prefix; of them only the digest is kept."""
    keys = {generate_api_key() for _ in range(100)}
    assert len(keys) == len({hash_api_key(key) for key in keys}) == 100
    assert all(key.startswith("ab_") and len(key) == 46 for key in keys)


@pytest.mark.parametrize("name", ["night", "night-shift_2", "7up", "a", "x" * 64])
def test_a_fit_name(name: str) -> None:
    """Small letters, digits, - and _."""
    assert validate_key_name(name) is None


@pytest.mark.parametrize("name", ["", "17", "Night", "a b", "夜", "x" * 65, "a\n", "command line", "admin"])
def test_an_invalid_name(name: str) -> None:
    """Digits alone are an id, and the names of others cannot be taken."""
    assert validate_key_name(name)


@pytest.mark.parametrize("role", Role)
def test_a_role_includes_itself_and_those_below(role: Role) -> None:
    """Viewer, operator, admin: each may do what the former may."""
    below = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}[role]
    assert [role.includes(other) for other in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)].count(True) == below
    assert role.includes(Role.VIEWER)
