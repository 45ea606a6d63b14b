"""The process that writes the ledger: commands in, one transaction each, replies out.

A process of its own, so that reading, folding and SQLite do not share Python's lock with the HTTP server. It lives as long
as its socket: when the gateway ends, however it ends, this does too. Run by `process.WriterClient`.
"""

import io
import os
import signal
import socket
import sys
import traceback

from answerback.domain.phone_numbers import mask_text
from answerback.errors import AnswerbackError, LedgerUnavailable, UnavailableReason
from answerback.gc_tuning import freeze_gc
from answerback.ledger.commands import decode_command
from answerback.ledger.factory import LedgerConfig
from answerback.ledger.ledger import Ledger
from answerback.ledger.writer.framing import LENGTH_BYTES, decode_config, encode_error, encode_result, frame

_OWNER_ONLY = 0o077


def main() -> None:
    """Serve the socket whose number is the first argument, to its end."""
    os.umask(_OWNER_ONLY)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever stops the gateway lets it drain us first
    with socket.socket(fileno=int(sys.argv[1])) as gateway, gateway.makefile("rb") as incoming:
        first = _read_frame(incoming)
        if first is None:
            return
        writer = _CommandRunner(decode_config(first))
        freeze_gc()
        while (payload := _read_frame(incoming)) is not None:
            try:
                gateway.sendall(frame(writer.run(payload)))
            except BrokenPipeError:
                return


class _CommandRunner:
    """The ledger, opened when it can be."""

    def __init__(self, config: LedgerConfig) -> None:
        self._config = config
        self._ledger: Ledger | None = None

    def run(self, payload: bytes) -> bytes:
        try:
            if self._ledger is None:
                self._ledger = self._config.open()
            return encode_result(decode_command(payload).run(self._ledger))
        except AnswerbackError as error:
            return encode_error(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours costs its command, never the only writer
            print(mask_text(traceback.format_exc()), file=sys.stderr, flush=True)  # noqa: T201  # its only log
            return encode_error(LedgerUnavailable(UnavailableReason.FAULT, type(error).__name__))


def _read_frame(incoming: io.BufferedReader) -> bytes | None:
    head = incoming.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    payload = incoming.read(size)
    return payload if len(payload) == size else None


if __name__ == "__main__":
    main()
