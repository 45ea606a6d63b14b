"""One connection, whatever becomes of the servers; users and certificates."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from nats_servers import NatsCluster
from relay.certificates import found_authority
from relay.waiting import in_loop, until
from stream.harness import publishing, refused, stream_config

from answerback.stream.connection import ConnectionLost, NatsConnection, NoResponders, RequestTimeout
from answerback.stream.server_address import ServerAddress


@in_loop
async def test_who_waits_gets_the_reason(nats_cluster: NatsCluster) -> None:
    """When the connection ends, those who wait for an answer are told at once, and the next server is used."""
    connection = NatsConnection(nats_cluster.urls, name="test")
    await connection.start()
    client = await connection.wait_ready(5)
    assert client.connected_url is not None
    node = next(n for n, url in enumerate(nats_cluster.urls) if url.endswith(f":{client.connected_url.port}"))
    listening = await client.subscribe("nothing.said")
    asked = asyncio.create_task(connection.request("nothing.said", b"", 30))
    await listening.next_msg(5)
    await asyncio.to_thread(nats_cluster.kill, node)
    async with asyncio.timeout(15):  # half of what the request itself would wait
        with pytest.raises(ConnectionLost):
            await asked
        assert await connection.wait_ready(15) is not client
    await connection.stop()
    assert len(asyncio.all_tasks()) == 1
    await asyncio.to_thread(nats_cluster.restart, node)


@in_loop
async def test_no_answer(nats_server: NatsCluster) -> None:
    """Nobody there, and somebody who says nothing, are told apart."""
    connection = NatsConnection(nats_server.urls, name="test")
    await connection.start()
    client = await connection.wait_ready(5)
    await client.subscribe("nothing.said")
    with pytest.raises(RequestTimeout):
        await connection.request("nothing.said", b"", 0.1)
    with pytest.raises(NoResponders):
        await connection.request("nobody.there", b"", 1)
    await connection.stop()


@in_loop
async def test_the_next_server_is_tried_at_once(nats_server: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are down are passed over without a pause: it is made when all were tried."""
    monkeypatch.setattr("answerback.stream.connection._PAUSE_S", 60.0)
    monkeypatch.setattr("random.randrange", lambda _: 0)
    connection = NatsConnection(["nats://127.0.0.1:1", "nats://127.0.0.1:2", *nats_server.urls], name="test")
    await connection.start()
    await connection.wait_ready(5)
    await connection.stop()


@in_loop
async def test_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user and a password of the URL are used, and never shown."""
    users = 'authorization { users: [{ user: "voice", password: "p@ss/word" }] }'
    with NatsCluster(tmp_path, size=1, more=users) as server:
        url = server.url.replace("nats://", "nats://voice:p%40ss%2Fword@")
        async with publishing(stream_config(server, urls=[url])) as (_, publisher):
            await publisher.probe()
        monkeypatch.setattr("answerback.stream.stream._START_S", 0.5)
        wrong = server.url.replace("nats://", "nats://voice:guessed@")
        async with publishing(stream_config(server, urls=[wrong])) as (stream, publisher):
            await until(lambda: stream.failure is not None and "iolation" in stream.failure.detail)
            with refused("(?i)authorization violation") as reported:
                await publisher.probe()
            assert stream.failure is not None
            assert "guessed" not in reported.value.explanation + stream.failure.explanation


@in_loop
async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS the server must be certified by the authority that is named."""
    ours, theirs = found_authority(tmp_path, "ours"), found_authority(tmp_path, "theirs")
    issued = ours.issue("server", hosts="IP:127.0.0.1")
    with NatsCluster(
        tmp_path / "nats", size=1, more=f'tls {{ cert_file: "{issued}", key_file: "{issued}" }}'
    ) as server:
        url = server.url.replace("nats://", "tls://")
        async with publishing(stream_config(server, urls=[url], ca_file=ours.file)) as (_, publisher):
            await publisher.probe()
        monkeypatch.setattr("answerback.stream.stream._START_S", 0.5)
        named = url.replace("127.0.0.1", "localhost")
        for wanted in (
            stream_config(server, urls=[url], ca_file=theirs.file),
            stream_config(server, urls=[named], ca_file=ours.file),
            stream_config(server, urls=[url]),
        ):
            async with publishing(wanted) as (stream, publisher):
                await until(lambda: stream.failure is not None and "certificate" in stream.failure.detail.lower())
                with refused("(?i)certificate"):
                    await publisher.probe()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_invalid_authority_is_named(tmp_path: Path, content: str | None) -> None:
    """A file that is not there, or holds no certificate, is told with its setting and its path."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(OSError, match=rf"^stream\.ca_file, {file}: \S+"):
        ServerAddress("tls://a:4222", "test", ca_file=file).options()


@in_loop
async def test_a_server_without_tls_learns_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tls://` is a demand, not a wish: who only plays the server, and offers no TLS, is told nothing."""
    monkeypatch.setattr("answerback.stream.stream._START_S", 0.5)
    heard = bytearray()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"auth_required":true}\r\n')
        with contextlib.suppress(OSError):
            heard.extend(await reader.read(65_536))
            writer.write(b"-ERR 'Unknown Protocol Operation'\r\n")
            heard.extend(await reader.read(65_536))
        writer.close()

    async with await asyncio.start_server(play, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = NatsConnection([f"tls://voice:guess-me@127.0.0.1:{port}"], name="test")
        await connection.start()
        await until(lambda: connection.failure is not None and str(port) in connection.failure.detail)
        await connection.stop()
    assert heard
    assert b"CONNECT" not in heard
    assert b"guess-me" not in heard
