"""The streams on the servers: made where they are not there, checked again and again, their leaders spread."""

import json
from typing import Any

import structlog

from answerback.errors import LedgerUnavailable, StreamUnsafe
from answerback.stream.connection import Connection, Nobody, StreamUnavailable
from answerback.stream.shard_status import ShardStatus, first_us, moves
from answerback.stream.stream_config import (
    CONSUMER,
    Shard,
    Wanted,
    check_consumer,
    check_stream,
    consumer_config,
    stream_config,
)

_API = "$JS.API"
_TIMEOUT_S = 3.0
_NO_STREAM, _NO_CONSUMER = 10059, 10014
_TAKEN = (10058, 10148, 10105)  # somebody else made it, or its like, at the same moment
_TOO_FEW = (10074, 10005)  # replicas without a cluster, or more than it has nodes
_NO_ROOM = (10047, 10023, 10028)
_OVERLAPS = 10065
_NOT_ENABLED = (10039, 10076)

log = structlog.get_logger("answerback.stream")


class Refused(StreamUnavailable):
    """A server said no; `code` is JetStream's own."""

    def __init__(self, description: str, code: int) -> None:
        self.code = code
        super().__init__(description)


async def ask(connection: Connection, subject: str, question: object = None, timeout_s: float = _TIMEOUT_S) -> Any:
    """What JetStream's API answers, as the JSON that it is. Raises Refused, or what `Connection.ask` does."""
    payload = b"" if question is None else json.dumps(question).encode()
    try:
        message = await connection.ask(f"{_API}.{subject}", payload, timeout_s)
    except Nobody:
        raise Nobody("JetStream is not enabled on the servers, or not yet ready") from None
    return read_answer(message.data)


def read_answer(data: bytes) -> dict[str, Any]:
    """JetStream's answer. Raises Refused where it is an error."""
    answer: dict[str, Any] = json.loads(data)
    if error := answer.get("error"):
        raise Refused(str(error.get("description", "refused")), int(error.get("err_code", 0)))
    return answer


class Streams:
    """The shards that the settings want."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self.shards = wanted.all()
        self.largest_message = wanted.largest_message

    async def ensure(self) -> None:
        """Make what is not there, and check all. Raises StreamUnsafe, LedgerUnavailable."""
        self._check_payload()
        for shard in self.shards:
            config = (await self._find_or_make(shard))["config"]
            check_stream(shard, config, self._wanted)
            check_consumer(shard, (await self._consumer(shard))["config"])

    async def spread(self) -> None:
        """Have each shard led by another node, as far as there are nodes: one that dies takes one leader with it."""
        told = [(shard, await self._info(shard)) for shard in self.shards]
        for shard, node in moves([(shard, info.get("cluster") or {}) for shard, info in told]):
            log.info("stream_leader_moves", stream=shard.stream, to=node)
            request = {"placement": {"preferred": node}}
            try:
                await ask(self._connection, f"STREAM.LEADER.STEPDOWN.{shard.stream}", request)
            except LedgerUnavailable as error:  # a server before 2.11, or no right to: it is only for the better
                log.debug("stream_leader_stays", stream=shard.stream, reason=error.detail)

    async def oldest_us(self, now_us: int) -> int:
        """When the oldest message that any shard holds was stored; `now_us` where they are empty."""
        return min([first_us(await self._info(shard), now_us) for shard in self.shards])

    async def status(self) -> list[ShardStatus]:
        """How each shard is; one that does not answer tells why."""
        return [await self._status(shard) for shard in self.shards]

    def _check_payload(self) -> None:
        if (largest := self._connection.max_payload) < self._wanted.least_message:
            raise StreamUnsafe(
                f"max_payload of the NATS servers is {largest}, a body may have intake.max_body_bytes: "
                f"set max_payload in the servers' configuration to {self._wanted.least_message} or more"
            )

    async def _find_or_make(self, shard: Shard) -> dict[str, Any]:
        try:
            return await self._info(shard)
        except Refused as error:
            if error.code in _NOT_ENABLED:
                raise StreamUnsafe("JetStream is not enabled for this account: enable it on the servers") from error
            if error.code != _NO_STREAM:
                raise
        return await self._make(shard)

    async def _make(self, shard: Shard) -> dict[str, Any]:
        replicas = [self._wanted.replicas]
        if self._wanted.fewer_replicas:
            replicas = sorted({self._wanted.replicas, 1}, reverse=True)
        for count in replicas:
            try:
                answer = await ask(
                    self._connection, f"STREAM.CREATE.{shard.stream}", stream_config(shard, self._wanted, count)
                )
            except Refused as error:
                if error.code in _TAKEN:
                    return await self._info(shard)
                if error.code not in _TOO_FEW or count == replicas[-1]:
                    raise self._unmade(shard, error) from error
            else:
                log.info("stream_made", stream=shard.stream, replicas=count)
                return answer  # type: ignore[no-any-return]
        raise AssertionError

    def _unmade(self, shard: Shard, error: Refused) -> Exception:
        """Why a stream could not be made, and what to do about it."""
        if error.code in _TOO_FEW:
            return StreamUnsafe(
                f"stream {shard.stream}: stream.replicas is {self._wanted.replicas}, so many nodes are not there "
                f"({error.detail}): start them, or set stream.allow_fewer_replicas = true for a trial"
            )
        if error.code in _NO_ROOM:
            return StreamUnsafe(
                f"stream {shard.stream}: the servers have no room for stream.max_bytes, {self._wanted.max_bytes} "
                f"({error.detail}): lower it, or raise max_file_store on the servers"
            )
        if error.code == _OVERLAPS:
            return StreamUnsafe(
                f"stream {shard.stream}: another stream takes its subject {shard.subject} already ({error.detail}): "
                "choose another stream.name, or remove that stream"
            )
        return StreamUnavailable(f"stream {shard.stream}: it cannot be made: {error.detail}")

    async def _consumer(self, shard: Shard) -> dict[str, Any]:
        try:
            return await self._consumer_info(shard)
        except Refused as error:
            if error.code != _NO_CONSUMER:
                raise
        request = {"stream_name": shard.stream, "config": consumer_config()}
        try:
            await ask(self._connection, f"CONSUMER.DURABLE.CREATE.{shard.stream}.{CONSUMER}", request)
        except Refused as error:
            if error.code not in _TAKEN:
                raise StreamUnavailable(
                    f"stream {shard.stream}: consumer {CONSUMER} cannot be made: {error.detail}"
                ) from error
        return await self._consumer_info(shard)

    async def _info(self, shard: Shard) -> dict[str, Any]:
        return await ask(self._connection, f"STREAM.INFO.{shard.stream}")  # type: ignore[no-any-return]

    async def _consumer_info(self, shard: Shard) -> dict[str, Any]:
        return await ask(self._connection, f"CONSUMER.INFO.{shard.stream}.{CONSUMER}")  # type: ignore[no-any-return]

    async def _status(self, shard: Shard) -> ShardStatus:
        try:
            return ShardStatus.of(shard, await self._info(shard), await self._consumer_info(shard))
        except LedgerUnavailable as error:
            return ShardStatus(stream=shard.stream, failure=str(error))
