"""What a user of the servers may do: the very lines that docs/stream.md gives."""

import asyncio
import re
from pathlib import Path

import nats
import pytest
from nats_servers import NatsCluster
from relay.waiting import in_loop, until
from stream.harness import publishing, raw_callback, recording, stream_config, streaming

_DOCUMENT = Path(__file__).parents[2] / "docs/stream.md"


def documented() -> str:
    """The accounts of the document."""
    blocks = re.findall(r"^```\n(accounts \{.*?)^```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    accounts: str = blocks[0]
    return accounts


@in_loop
async def test_the_documented_rights_suffice_and_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user makes the streams; the other takes callbacks, records them, and can do nothing else to what is stored."""
    monkeypatch.setattr("answerback.stream.stream._START_S", 2.0)
    with NatsCluster(tmp_path / "nats", size=1, more=documented()) as server:

        def url_of(user: str) -> str:
            return server.url.replace("nats://", f"nats://{user}:change-me@")

        wanted = stream_config(server, urls=[url_of("answerback")], name="ANSWERBACK")
        async with streaming(wanted) as stream:
            assert stream.failure is not None, "it has no right to make the streams"
        async with streaming(stream_config(server, urls=[url_of("answerback-admin")], name="ANSWERBACK")) as stream:
            await until(lambda: stream.failure is None)
        async with publishing(wanted) as (stream, publisher), recording(stream, tmp_path / "data") as at_work:
            await publisher.append([raw_callback("with-few-rights")])
            await until(lambda: at_work.callbacks > 0)
        client = await nats.connect(url_of("answerback"), allow_reconnect=False)
        for forbidden in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.MSG.GET"):
            with pytest.raises((nats.errors.TimeoutError, nats.errors.NoRespondersError)):
                await client.request(f"$JS.API.{forbidden}.ANSWERBACK-1", b"", timeout=0.3)
        assert await client.request("$JS.API.STREAM.INFO.ANSWERBACK-1", b"", timeout=5)
        await client.close()
    await asyncio.sleep(0)
