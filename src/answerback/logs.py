"""Structured logs to standard error, without anybody's number in them."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from answerback.numbers import mask, mask_text

_NUMBERS = ("mobile", "call_from")
_PROSE = ("reason", "detail", "error", "exception", "was")


def hide_numbers(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask the fields that hold numbers, and digits in prose long enough to be one."""
    for field in _NUMBERS:
        if field in event:
            event[field] = mask(str(event[field]))
    for field in _PROSE:
        if isinstance(event.get(field), str):
            event[field] = mask_text(event[field])
    return event


def configure_logs(level: str, form: str) -> None:
    """Send our own logs and those of the libraries to standard error, at `level` and above."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [structlog.processors.format_exc_info, hide_numbers]
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
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are one per malformed request
    logging.getLogger("alembic").setLevel(logging.WARNING)
