"""Cancel tasks that use nats-py, which sometimes swallows a cancellation."""

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_S = 0.05


async def cancel_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel `tasks` until they have ended."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
