"""The rules: what a receiver is sent, in which order, and what it is to answer.

Source: the four callback pages of product 1128; where nobody documents a form or an order, a receiver takes each.
"""

from collections.abc import Sequence

from answerback.emulator.conformance.rules.content import FORMS, KINDS
from answerback.emulator.conformance.rules.mistakes import MISTAKES
from answerback.emulator.conformance.rules.order import ORDER
from answerback.emulator.conformance.rules.transport import TRANSPORT
from answerback.emulator.conformance.scenarios import Rule

RULES: Sequence[Rule] = (*KINDS, *FORMS, *TRANSPORT, *ORDER, *MISTAKES)
"""Every rule, in the order in which they are checked."""
