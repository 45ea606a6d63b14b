"""Copies: a ledger moves to another store while it is served, page by page, and both are compared to the last byte."""

from answerback.store_copy.copy import Copied, Copying, Shown
from answerback.store_copy.locations import Place, place_of
from answerback.store_copy.table_sync import Carried
from answerback.store_copy.verification import Difference, Verified

__all__ = ["Carried", "Copied", "Copying", "Difference", "Place", "Shown", "Verified", "place_of"]
