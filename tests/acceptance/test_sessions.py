"""Sessions of the console: each is its key's, whatever became of the ledger, and ends everywhere when it is ended."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import httpx
from console_client import make_key, signed_in
from contract.databases import ledger_database
from gateway import Gateway
from receivers.process import await_true

SECRET = {"ANSWERBACK_SERVER__SECRET": "the same in both processes of this test"}


def status_of(gateway: Gateway, cookies: httpx.Cookies) -> int:
    """What the console answers to a cookie jar: 200, or 303 to the sign-in."""
    with httpx.Client(
        base_url=gateway.url, cookies=dict(cookies), timeout=30.0, trust_env=False, verify=False
    ) as client:
        return client.get("/console/calls").status_code


def opens(gateway: Gateway, key: str) -> bool:
    """Whether /v1 knows a key."""
    return gateway.client.get("/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def jar(gateway: Gateway, key: str) -> httpx.Cookies:
    """The cookies of somebody who has just signed in."""
    with signed_in(gateway, key) as person:
        return person.client.cookies


def backup(gateway: Gateway, to: Path) -> None:
    """Of the ledger alone, by SQLite's own means."""
    with closing(sqlite3.connect(gateway.ledger)) as connection:
        connection.execute(f"VACUUM INTO '{to}'")


def restore(gateway: Gateway, backed_up: Path) -> None:
    """Stop, move the three files away, put the copy in their place."""
    assert gateway.terminate() == 0
    for suffix in ("", "-wal", "-shm"):
        gateway.ledger.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    gateway.ledger.write_bytes(backed_up.read_bytes())


def test_no_session_opens_for_another_key(data_dir: Path, tmp_path: Path) -> None:
    """After a restore a revoked key's cookie and its key open nothing, though another key has its row and its name by now.

    What was revoked after the backup is back: operations.md says so. Another admin key ends the admin's sessions,
    another server secret all of them.
    """
    with Gateway(data_dir) as gateway:
        kept = make_key(gateway, "kept", "viewer")
        kept_jar, admin_jar = jar(gateway, kept), jar(gateway, gateway.key)
        backup(gateway, tmp_path / "backup.db")
        leaver = make_key(gateway, "leaver", "viewer")
        ((leavers_id,),) = gateway.rows("SELECT id FROM api_keys WHERE name = 'leaver'")
        leaver_jar = jar(gateway, leaver)
        for name in ("kept", "leaver"):
            gateway.client.delete(f"/v1/keys/{name}", headers={"Authorization": f"Bearer {gateway.key}"})
        assert [status_of(gateway, one) for one in (leaver_jar, kept_jar, admin_jar)] == [303, 303, 200]
        restore(gateway, tmp_path / "backup.db")
        gateway.start()
        boss = make_key(gateway, "leaver", "admin")
        with closing(sqlite3.connect(gateway.ledger)) as connection, connection:
            ((own_id,),) = connection.execute("SELECT id FROM api_keys WHERE name = 'leaver'")
            assert own_id != leavers_id, "ids are never given twice"
            connection.execute("UPDATE api_keys SET id = ? WHERE id = ?", (leavers_id, own_id))  # as it was once
        assert status_of(gateway, leaver_jar) == 303
        assert (opens(gateway, leaver), opens(gateway, boss), opens(gateway, kept)) == (False, True, True)
        assert status_of(gateway, kept_jar) == 200
        assert gateway.terminate() == 0
        (data_dir / "admin-key").unlink()
        gateway.start()
        assert (status_of(gateway, admin_jar), status_of(gateway, kept_jar)) == (303, 200)
        assert gateway.terminate() == 0
        (data_dir / "server-secret").unlink()
        gateway.start()
        assert (status_of(gateway, kept_jar), opens(gateway, kept)) == (303, True)


def test_signing_out_ends_every_copy_of_a_cookie(tmp_path: Path) -> None:
    """In every process that serves the ledger, and for who is looking at the live view; other sessions of the key go on."""
    settings = SECRET | {
        "ANSWERBACK_LEDGER__URL": ledger_database(tmp_path),
        "ANSWERBACK_SERVER__ADMIN_KEY": "the admin key of both of the processes",
    }
    ended = threading.Event()

    def look_live(gateway: Gateway, copy: dict[str, str]) -> None:
        with (
            httpx.Client(base_url=gateway.url, cookies=copy, timeout=60.0, trust_env=False, verify=False) as client,
            client.stream("GET", "/console/live/events") as events,
        ):
            looking.set()
            for _ in events.iter_bytes():
                pass
        ended.set()

    with (
        Gateway(tmp_path / "one", settings=settings) as one,
        Gateway(tmp_path / "two", settings={**settings, "ANSWERBACK_SERVER__ROLES": "console"}) as two,
    ):
        key = settings["ANSWERBACK_SERVER__ADMIN_KEY"]
        other = jar(one, key)
        with signed_in(one, key) as person:
            copy = person.client.cookies
            looking = threading.Event()
            live = threading.Thread(target=look_live, args=(two, dict(copy)))
            live.start()
            assert looking.wait(15)
            assert (status_of(one, copy), status_of(two, copy)) == (200, 200)
            copied = httpx.Cookies(copy)
            assert person.post("sign-out").headers["location"].endswith("/console/sign-in")
            assert "answerback_session" not in person.client.cookies
        assert (status_of(one, copied), status_of(two, copied)) == (303, 303)
        assert (status_of(one, other), status_of(two, other)) == (200, 200)
        await_true(ended.is_set, lambda: "the live view goes on")
        live.join(5)
