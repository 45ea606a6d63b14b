"""Progress bars on standard error, where that is a terminal."""

import sys
from typing import Any

from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from answerback.cli.output import err


class ProgressBars(Progress):
    """Bars on a terminal and nowhere else, gone when all is done."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, console=err, transient=True, disable=not sys.stderr.isatty(), **options)


class RateColumn(ProgressColumn):
    """How much a second: of the task's field `count`, or of what is completed."""

    def __init__(self, count: str | None = None, unit: str = "/s") -> None:
        super().__init__()
        self._count = count
        self._unit = unit

    def render(self, task: Task) -> Text:
        count = task.completed if self._count is None else task.fields[self._count]
        return Text(f"{count / task.elapsed if task.elapsed else 0.0:,.0f}{self._unit}", style="dim")
