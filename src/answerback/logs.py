"""Structured logs to standard error, without anybody's number in them."""

import atexit
import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from answerback.domain.masking import mask_urls
from answerback.domain.phone_numbers import mask_number, mask_phone_like, mask_text


@contextlib.contextmanager
def _hidden(library: str) -> Iterator[None]:
    """Meanwhile nothing can import it."""
    modules: dict[str, Any] = sys.modules
    imported = modules.get(library)
    modules[library] = None
    try:
        yield
    finally:
        del modules[library]
        if imported is not None:
            modules[library] = imported


with _hidden(
    "rich"
):  # structlog shows exceptions with it where it can, and they are text by then: 4 MB, and 30 ms of a start
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

_MOST_LINES = 10_000
_LONGEST_FLUSH_S = 1.0
_LOOKS_EVERY_S = 0.005

_NUMBERS = ("mobile", "call_from")
_PROSE = ("event", "reason", "detail", "error", "exception", "was")
_OURS = ("level", "logger", "timestamp", "path")  # the API has taken the numbers out of the path


def mask_numbers(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what holds numbers, or may: prose wherever digits are enough for one, every other text where it looks like one."""
    for field, value in event.items():
        if field in _NUMBERS:
            event[field] = mask_number(str(value))
        elif isinstance(value, str) and field not in _OURS:
            event[field] = mask_text(mask_urls(value)) if field in _PROSE else mask_phone_like(value)
    return event


class _BackgroundHandler(logging.Handler):
    """Masks, renders and writes to standard error in a thread of its own: who does not read must not hold up who logs.

    What finds no room is dropped, and how much it was is said with the next line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: queue.Queue[logging.LogRecord] = queue.Queue(_MOST_LINES)
        self._dropped = 0
        self._writing: threading.Thread | None = None
        atexit.register(self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; called by one thread at a time."""
        if self._writing is None:
            self._writing = threading.Thread(target=self._write, name="logs", daemon=True)
            self._writing.start()
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until everything is written, and not for long."""
        deadline_s = time.monotonic() + _LONGEST_FLUSH_S
        while self._records.unfinished_tasks and time.monotonic() < deadline_s:
            time.sleep(_LOOKS_EVERY_S)

    def _write(self) -> None:
        while True:
            record = self._records.get()
            dropped, self._dropped = self._dropped, 0
            said = f"{dropped} lines were not logged: nobody read standard error\n" if dropped else ""
            try:
                said += f"{self.format(record)}\n"
            except Exception:  # noqa: BLE001  # as all handlers do
                self.handleError(record)
            with contextlib.suppress(
                OSError, ValueError
            ):  # closed, full, or of another encoding: nobody can be informed
                sys.stderr.write(said)
                sys.stderr.flush()
            self._records.task_done()


def set_log_level(level: str) -> None:
    """Log at `level` and above from now on."""
    logging.getLogger().setLevel(level.upper())


def configure_logs(level: str, form: str) -> None:
    """Send our own logs and those of the libraries to standard error, at `level` and above."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # here, for what it formats is not known in another thread
    ]
    render: list[Processor] = [mask_numbers]
    if form == "json":
        render.append(structlog.processors.JSONRenderer())
    else:
        render.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _BackgroundHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    set_log_level(level)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are one per malformed request
    logging.getLogger("alembic").setLevel(logging.WARNING)
