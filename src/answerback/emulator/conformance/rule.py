"""What a rule is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from answerback.emulator.conformance.requests import Calls
from answerback.emulator.conformance.steps import Flow, Step
from answerback.emulator.conformance.words import Words


class Rule(NamedTuple):
    """One line of the report; `en` and `zh` say what is sent, `steps` makes it."""

    id: str
    en: str
    zh: str
    fix: Words
    steps: Callable[[Calls], Sequence[Step]]
    flow: Flow = Flow.IN_ORDER

    @property
    def words(self) -> Words:
        """What is sent, in both languages."""
        return Words(self.en, self.zh)
