"""The process that writes the ledger: commands in, one transaction each, replies out.

A process of its own, so that reading, folding and SQLite do not share Python's lock with the HTTP server. It lives as long
as its socket: when the gateway ends, however it ends, this does too. Run by `client.WriterClient`.
"""

import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable

from answerback.domain.phone_numbers import mask_text
from answerback.errors import AnswerbackError, LedgerUnavailable, UnavailableReason
from answerback.gc_tuning import freeze_gc
from answerback.ledger.commands import decode_command
from answerback.ledger.factory import LedgerConfig
from answerback.ledger.ledger import Ledger
from answerback.ledger.writer.framing import LENGTH_BYTES, decode_config, encode_error, encode_result, frame

_OWNER_ONLY = 0o077
_RECEIVE_BYTES = 256 * 1024


def main() -> None:
    """Serve the socket whose number is the first argument, to its end."""
    os.umask(_OWNER_ONLY)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever stops the gateway lets it drain us first
    with socket.socket(fileno=int(sys.argv[1])) as gateway:
        incoming = _FrameReader(gateway)
        first = incoming.read()
        if first is None:
            return
        writer = _CommandRunner(decode_config(first), incoming.has_more)
        freeze_gc()
        while (payload := incoming.read()) is not None:
            try:
                gateway.sendall(frame(writer.run(payload)))
            except BrokenPipeError:
                return


class _CommandRunner:
    """The ledger, opened when it can be."""

    def __init__(self, config: LedgerConfig, is_write_waiting: Callable[[], bool]) -> None:
        self._config = config
        self._is_write_waiting = is_write_waiting
        self._ledger: Ledger | None = None

    def run(self, payload: bytes) -> bytes:
        try:
            if self._ledger is None:
                self._ledger = self._config.open()
                self._ledger.is_write_waiting = self._is_write_waiting
            return encode_result(decode_command(payload).run(self._ledger))
        except AnswerbackError as error:
            return encode_error(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours costs its command, never the only writer
            print(mask_text(traceback.format_exc()), file=sys.stderr, flush=True)  # noqa: T201  # its only log
            return encode_error(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))


class _FrameReader:
    """Reads frames, and can tell whether more has come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()

    def read(self) -> bytes | None:
        """Wait for the next frame; None at the end."""
        head = self._take(LENGTH_BYTES)
        return None if head is None else self._take(int.from_bytes(head, "big"))

    def has_more(self) -> bool:
        """Whether the next frame, or the end, has come, at least its beginning."""
        return bool(self._unread or select.select([self._connection], [], [], 0)[0])

    def _take(self, size: int) -> bytes | None:
        while len(self._unread) < size:
            received = self._connection.recv(_RECEIVE_BYTES)
            if not received:
                return None
            self._unread += received
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken


if __name__ == "__main__":
    main()
