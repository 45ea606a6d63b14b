"""Callbacks from before: out of files and access logs into the ledger."""

from answerback.imports.files import Source, open_source
from answerback.imports.importer import LINES_SHOWN, Bringing, Skip, Tally

__all__ = ["LINES_SHOWN", "Bringing", "Skip", "Source", "Tally", "open_source"]
