"""The durable store: what came in, what is known of each call, what could not be understood.

SQLAlchemy Core on one schema for every backend; what only one can do or needs lives in `backends`. What is named here is imported
when it is asked for: to start the writer's process takes none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from answerback.ledger.factory import LEDGER_FILE, LedgerConfig, open_postgresql, open_sqlite
    from answerback.ledger.ledger import Ledger
    from answerback.ledger.types import (
        AttemptRecord,
        DeliveryJob,
        Disposition,
        EndpointPause,
        Receipt,
    )

__all__ = [
    "LEDGER_FILE",
    "AttemptRecord",
    "DeliveryJob",
    "Disposition",
    "EndpointPause",
    "Ledger",
    "LedgerConfig",
    "Receipt",
    "open_postgresql",
    "open_sqlite",
]

_MODULES = {"Ledger": "ledger"} | dict.fromkeys(
    ("LEDGER_FILE", "LedgerConfig", "open_postgresql", "open_sqlite"), "factory"
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'types')}"), name)
