"""Callbacks that are submitted over the API: they take the same path as those of the callback URL."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

from answerback.intake.handler import CallbackHandler
from answerback.tencent.response import Response, too_large

_PART_SIZE = 256  # callbacks of the URL get in between
_PART_BYTES = 1024 * 1024


class BulkSubmitter:
    """Submits many bodies at once."""

    def __init__(self, handler: CallbackHandler) -> None:
        self._handler = handler

    async def submit(self, channel: str, bodies: Sequence[bytes]) -> list[Response]:
        """Append each of `bodies` to the log, durably; the answer to each, in order."""
        responses: list[Response] = []
        for part in _parts(bodies):
            responses += await asyncio.gather(*[self._submit_one(channel, body) for body in part])
        return responses

    def _submit_one(self, channel: str, body: bytes) -> "asyncio.Future[Response]":
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        if len(body) > self._handler.max_body_bytes:
            answered.set_result(self._handler.refuse(too_large(self._handler.max_body_bytes)))
        else:
            self._handler.handle(channel, body, partial(_resolve, answered))
        return answered


def _resolve(answered: "asyncio.Future[Response]", response: Response) -> None:
    if not answered.done():  # who asked may have left
        answered.set_result(response)


def _parts(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """`bodies` in order, in parts that do not block the event loop for long."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (len(part) == _PART_SIZE or size + len(body) > _PART_BYTES):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        yield part
