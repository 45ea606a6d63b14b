"""What a rule is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from answerback.emulator.conformance.requests import CallFactory
from answerback.emulator.conformance.scenarios import SendMode, Step
from answerback.i18n import Text


class Rule(NamedTuple):
    """One line of the report; `en` and `zh` say what is sent, `steps` makes it."""

    id: str
    en: str
    zh: str
    fix: Text
    steps: Callable[[CallFactory], Sequence[Step]]
    mode: SendMode = SendMode.IN_ORDER

    @property
    def words(self) -> Text:
        """What is sent, in both languages."""
        return Text(self.en, self.zh)
