"""Copies: a ledger moves to another store while it is served, page by page, and both are compared to the last byte."""

from answerback.copying.carrying import Carried
from answerback.copying.copy import Copied, Copying, Shown
from answerback.copying.places import Place, place_of
from answerback.copying.verifying import Difference, Verified

__all__ = ["Carried", "Copied", "Copying", "Difference", "Place", "Shown", "Verified", "place_of"]
