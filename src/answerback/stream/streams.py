"""Manage the streams on the servers: create what is missing, check all, balance their leaders."""

import asyncio
import json
import time
from typing import Any

import structlog

from answerback.errors import LedgerUnavailable, UnsafeStream
from answerback.stream.connection import NatsConnection, NoResponders, StreamUnavailable
from answerback.stream.shard_status import ShardStatus, oldest_message_us, plan_leader_moves
from answerback.stream.stream_config import (
    CONSUMER,
    Shard,
    StreamSpec,
    check_consumer,
    check_stream,
    consumer_config,
    stream_config,
)

_API = "$JS.API"
_TIMEOUT_S = 3.0
_CLUSTER_TIMEOUT_S = 0.5
_SETTLE_S = 5.0
_NO_STREAM, _NO_CONSUMER = 10059, 10014
_ALREADY_EXISTS = (10058, 10148, 10105)  # somebody else made it, or its like, at the same moment
_NO_CLUSTER = 10074  # replicas are asked for, and there is one node
_TOO_FEW_NODES = 10005  # in the cluster, as far as it knows now: one may be starting
_NO_ROOM = (10047, 10023, 10028)
_OVERLAPS = 10065
_NOT_ENABLED = (10039, 10076)

log = structlog.get_logger("answerback.stream")


class JetStreamApiError(StreamUnavailable):
    """The JetStream API returned an error; `code` is its own."""

    def __init__(self, description: str, code: int) -> None:
        self.code = code
        super().__init__(description)


async def call_api(
    connection: NatsConnection, subject: str, request: object = None, timeout_s: float = _TIMEOUT_S
) -> Any:
    """Call the JetStream API and return its JSON. Raises JetStreamApiError, or what `NatsConnection.request` does."""
    payload = b"" if request is None else json.dumps(request).encode()
    try:
        message = await connection.request(f"{_API}.{subject}", payload, timeout_s)
    except NoResponders:
        raise NoResponders("JetStream is not enabled on the servers, or not yet ready") from None
    return parse_api_response(message.data)


def parse_api_response(data: bytes) -> dict[str, Any]:
    """Parse a response of the JetStream API. Raises JetStreamApiError."""
    answer: dict[str, Any] = json.loads(data)
    if error := answer.get("error"):
        raise JetStreamApiError(str(error.get("description", "refused")), int(error.get("err_code", 0)))
    return answer


class StreamManager:
    """The streams of the settings, one a shard."""

    def __init__(self, connection: NatsConnection, spec: StreamSpec) -> None:
        self._connection = connection
        self._spec = spec
        self._settled_s: dict[Shard, float] = {}
        self.shards = spec.all_shards()
        self.max_message_bytes = spec.max_message_bytes

    async def ensure(self) -> None:
        """Make what is not there, and check all. Raises UnsafeStream, LedgerUnavailable."""
        self._check_payload()
        for shard in self.shards:
            config = (await self._find_or_create(shard))["config"]
            check_stream(shard, config, self._spec)
            check_consumer(shard, (await self._consumer(shard))["config"])

    async def balance_leaders(self) -> None:
        """Have each shard led by another node, as far as there are nodes: one that dies takes one leader with it.

        A shard that does not answer, such as one that is choosing a leader, is left as it is.
        """
        clusters = await asyncio.gather(*(self._cluster(shard) for shard in self.shards))
        known = [(shard, cluster) for shard, cluster in zip(self.shards, clusters, strict=True) if cluster]
        for shard, node in plan_leader_moves(known):
            if time.monotonic() < self._settled_s.get(shard, 0.0):
                continue
            self._settled_s[shard] = time.monotonic() + _SETTLE_S
            request = {"placement": {"preferred": node}}
            try:
                await call_api(self._connection, f"STREAM.LEADER.STEPDOWN.{shard.stream}", request)
            except LedgerUnavailable as error:  # a server before 2.11, or no right to: it is only for the better
                log.debug("stream_leader_move_failed", stream=shard.stream, reason=error.detail)
            else:
                log.info("stream_leader_moved", stream=shard.stream, to=node)

    async def oldest_message_us(self, now_us: int) -> int:
        """When the oldest message that any shard holds was stored; `now_us` where they are empty."""
        return min([oldest_message_us(await self._info(shard), now_us) for shard in self.shards])

    async def status(self) -> list[ShardStatus]:
        """The status of each shard; one that does not answer says why."""
        return [await self._status(shard) for shard in self.shards]

    def _check_payload(self) -> None:
        if (largest := self._connection.max_payload) < self._spec.min_message_bytes:
            raise UnsafeStream(
                f"max_payload of the NATS servers is {largest}, a body may have intake.max_body_bytes: "
                f"set max_payload in the servers' configuration to {self._spec.min_message_bytes} or more"
            )

    async def _find_or_create(self, shard: Shard) -> dict[str, Any]:
        try:
            return await self._info(shard)
        except JetStreamApiError as error:
            if error.code in _NOT_ENABLED:
                raise UnsafeStream("JetStream is not enabled for this account: enable it on the servers") from error
            if error.code != _NO_STREAM:
                raise
        return await self._create(shard)

    async def _create(self, shard: Shard) -> dict[str, Any]:
        replicas = [self._spec.replicas]
        if self._spec.fewer_replicas:
            replicas = sorted({self._spec.replicas, 1}, reverse=True)
        for count in replicas:
            try:
                answer = await call_api(
                    self._connection, f"STREAM.CREATE.{shard.stream}", stream_config(shard, self._spec, count)
                )
            except JetStreamApiError as error:
                if error.code in _ALREADY_EXISTS:
                    return await self._info(shard)
                if error.code not in (_NO_CLUSTER, _TOO_FEW_NODES) or count == replicas[-1]:
                    raise self._creation_error(shard, error) from error
            else:
                log.info("stream_created", stream=shard.stream, replicas=count)
                return answer  # type: ignore[no-any-return]
        raise AssertionError

    def _creation_error(self, shard: Shard, error: JetStreamApiError) -> Exception:
        """Why a stream could not be made, and what to do about it."""
        if error.code in (_NO_CLUSTER, _TOO_FEW_NODES):
            kind = UnsafeStream if error.code == _NO_CLUSTER else StreamUnavailable
            return kind(
                f"stream {shard.stream}: stream.replicas is {self._spec.replicas}, so many nodes are not there "
                f"({error.detail}): start them, or set stream.allow_fewer_replicas = true for a trial"
            )
        if error.code in _NO_ROOM:
            return UnsafeStream(
                f"stream {shard.stream}: the servers have no room for stream.max_bytes, {self._spec.max_bytes} "
                f"({error.detail}): lower it, or raise max_file_store on the servers"
            )
        if error.code == _OVERLAPS:
            return UnsafeStream(
                f"stream {shard.stream}: another stream takes its subject {shard.subject} already ({error.detail}): "
                "choose another stream.name, or remove that stream"
            )
        return StreamUnavailable(f"stream {shard.stream}: it cannot be made: {error.detail}")

    async def _consumer(self, shard: Shard) -> dict[str, Any]:
        try:
            return await self._consumer_info(shard)
        except JetStreamApiError as error:
            if error.code != _NO_CONSUMER:
                raise
        request = {"stream_name": shard.stream, "config": consumer_config()}
        try:
            await call_api(self._connection, f"CONSUMER.DURABLE.CREATE.{shard.stream}.{CONSUMER}", request)
        except JetStreamApiError as error:
            if error.code not in _ALREADY_EXISTS:
                raise StreamUnavailable(
                    f"stream {shard.stream}: consumer {CONSUMER} cannot be made: {error.detail}"
                ) from error
        return await self._consumer_info(shard)

    async def _cluster(self, shard: Shard) -> dict[str, Any]:
        """Who leads it and who follows; empty where it does not answer, or has one replica."""
        try:
            info = await call_api(self._connection, f"STREAM.INFO.{shard.stream}", timeout_s=_CLUSTER_TIMEOUT_S)
        except LedgerUnavailable:
            return {}
        return info.get("cluster") or {}

    async def _info(self, shard: Shard) -> dict[str, Any]:
        return await call_api(self._connection, f"STREAM.INFO.{shard.stream}")  # type: ignore[no-any-return]

    async def _consumer_info(self, shard: Shard) -> dict[str, Any]:
        return await call_api(self._connection, f"CONSUMER.INFO.{shard.stream}.{CONSUMER}")  # type: ignore[no-any-return]

    async def _status(self, shard: Shard) -> ShardStatus:
        try:
            return ShardStatus.of(shard, await self._info(shard), await self._consumer_info(shard))
        except LedgerUnavailable as error:
            return ShardStatus(stream=shard.stream, failure=str(error))
