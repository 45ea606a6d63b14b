"""PostgreSQL asked for little and asked for proof: the roles that docs/postgresql.md makes, and TLS."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psycopg
import pytest
from gateway import OK, Gateway, prompt
from gateway import run as gateway_run
from postgresql import PostgreSQL
from relay.certificates import Authority, found_authority

from answerback.errors import LedgerUnavailable
from answerback.ledger import open_postgresql

_DOCUMENT = Path(__file__).parents[2] / "docs/postgresql.md"
_SSL_REQUEST = (80877103).to_bytes(4)
_MONTHS = 24


@pytest.fixture(scope="module")
def roles(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A database as the document makes it, with a schema that only the owner can make; the URLs of both roles."""
    (block,) = re.findall(
        r"^```sql\n(CREATE ROLE.*?)^```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    as_superuser, in_database = block.split("\\c answerback\n")
    for statement in filter(str.strip, as_superuser.split(";")):
        postgresql_server.execute(statement)
    for statement in filter(str.strip, in_database.split(";")):
        postgresql_server.execute(statement, "answerback")
    place = f"127.0.0.1:{postgresql_server.port}/answerback"
    urls = {name: f"postgresql://{name}:change-me@{place}" for name in ("answerback_owner", "answerback_server")}
    early = gateway_run("migrate", "--database-url", urls["answerback_server"], cwd=tmp_path_factory.mktemp("early"))
    assert early.returncode == 1, "it could make the schema"
    yield urls
    postgresql_server.execute("DROP DATABASE answerback WITH (FORCE)")
    for role in ("answerback_owner", "answerback_server"):
        postgresql_server.execute(f"DROP ROLE {role}")


def test_who_only_serves_can_serve_and_nothing_more(tmp_path: Path, roles: dict[str, str]) -> None:
    """The owner makes the schema and the months; the other role takes callbacks, tells, reads, and changes no table."""
    done = gateway_run("migrate", "--months", str(_MONTHS), "--database-url", roles["answerback_owner"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Gateway(tmp_path / "data", options=["--database-url", roles["answerback_server"]]) as gateway:
        assert gateway.post(prompt("few-rights")).content == OK
        assert gateway.post(b"junk").status_code == 400
        headers = {"Authorization": f"Bearer {gateway.key}"}
        put = gateway.client.put("/v1/calls/few-rights", json={"reference": "order-7"}, headers=headers)
        assert put.status_code == 200, put.text
        made = gateway.client.post(
            "/v1/keys", json={"name": "k", "role": "viewer", "full_numbers": False}, headers=headers
        )
        assert made.status_code == 201, made.text
        endpoint = {"name": "crm", "url": "https://crm.example.com/", "channel": "default"}
        added = gateway.client.post("/v1/endpoints", json=endpoint, headers=headers)
        assert added.status_code in {201, 422}, added.text  # 422: the name means nothing here
        assert gateway.call("few-rights")["reference"] == "order-7"
        assert gateway.get("/v1/stats").status_code == 200
        assert gateway.await_ready()
    with psycopg.connect(roles["answerback_server"], autocommit=True) as connection:
        (partitions,) = connection.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'callbacks'::regclass"
        ).fetchone() or (0,)
        assert partitions >= _MONTHS
        for forbidden in (
            "DROP TABLE calls",
            "ALTER TABLE calls ADD x int",
            "CREATE TABLE x (y int)",
            "TRUNCATE calls",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_doctor_says_how_many_months_are_made(tmp_path: Path, roles: dict[str, str]) -> None:
    """To who only serves: in time, and when callbacks are refused already. The owner needs no warning."""

    def months(role: str) -> dict[str, str]:
        done = gateway_run(
            "doctor", "--json", "--database-url", roles[role], "--data-dir", tmp_path / "data", cwd=tmp_path
        )
        found: dict[str, str] = next(one for one in json.loads(done.stdout)["items"] if one["check"] == "months")
        return found

    def drop(*partitions: tuple[str, ...]) -> None:
        with psycopg.connect(roles["answerback_owner"], autocommit=True) as connection:
            for (name,) in partitions:
                connection.execute(f"DROP TABLE {name}".encode())

    gateway_run("migrate", "--months", str(_MONTHS), "--database-url", roles["answerback_owner"], cwd=tmp_path)
    assert months("answerback_server")["level"] == "ok"
    with psycopg.connect(roles["answerback_owner"]) as connection:
        made = connection.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = 'callbacks'::regclass AND relname <> 'callbacks_copied' ORDER BY relname"
        ).fetchall()
    assert len(made) == _MONTHS
    drop(*made[3:])
    warned = months("answerback_server")
    assert warned["level"] == "warning", warned
    assert "made for 2 months after this one" in warned["finding"]
    assert "migrate --months" in warned["remedy"]
    drop(*made[:3])
    assert months("answerback_server")["level"] == "error"
    assert months("answerback_owner")["level"] == "ok"


def test_months_are_for_postgresql(tmp_path: Path) -> None:
    """SQLite has no partitions, and is told so."""
    done = gateway_run("migrate", "--months", "3", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert "--months: is for PostgreSQL" in done.stderr


class TlsFront:
    """A PostgreSQL that speaks TLS: what libpq asks for first is answered here, the rest by the real server."""

    def __init__(self, server: PostgreSQL, certificate: Path) -> None:
        self._server = server
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._begin(self._serve, self._listener.accept()[0])

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), ExitStack() as open_ones:
            open_ones.enter_context(plain)
            while plain.recv(8)[4:] != _SSL_REQUEST:
                plain.sendall(b"N")
            plain.sendall(b"S")
            client = open_ones.enter_context(self._context.wrap_socket(plain, server_side=True))
            server = open_ones.enter_context(socket.create_connection(("127.0.0.1", self._server.port)))
            self._begin(_pump, server, client)
            _pump(client, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the URL names."""
    return found_authority(tmp_path_factory.mktemp("authority"), "ours")


def test_tls_is_verified_when_asked_for(
    tmp_path: Path, postgresql_server: PostgreSQL, postgresql_url: str, ours: Authority
) -> None:
    """`sslmode=verify-full` takes a server of our authority by its name, and no other one, nor one without TLS."""
    database = postgresql_url.rpartition("/")[2]
    theirs = found_authority(tmp_path, "theirs")
    user = "postgres" if "@" not in postgresql_url else postgresql_url.partition("//")[2].partition("@")[0]

    def opened(host: str, port: int, authority: Authority) -> None:
        url = f"postgresql://{user}@{host}:{port}/{database}?sslmode=verify-full&sslrootcert={authority.file}"
        open_postgresql(url, allow_unsafe=True, lock_timeout_s=0).close()

    with TlsFront(postgresql_server, ours.issue("database", hosts="DNS:localhost")) as front:
        opened("localhost", front.port, ours)
        with pytest.raises(LedgerUnavailable) as untrusted:
            opened("localhost", front.port, theirs)
        assert "certificate verify failed" in untrusted.value.detail
        with pytest.raises(LedgerUnavailable) as misnamed:
            opened("127.0.0.1", front.port, ours)
        assert "does not match host name" in misnamed.value.detail
    with pytest.raises(LedgerUnavailable) as plain:
        opened("localhost", postgresql_server.port, ours)
    assert "does not support SSL" in plain.value.detail
