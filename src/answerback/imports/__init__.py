"""Callbacks from before: out of files and access logs into the ledger."""

from answerback.imports.files import InputFile, open_input
from answerback.imports.importer import LINES_SHOWN, Importer, ImportSummary, SkippedLine

__all__ = ["LINES_SHOWN", "ImportSummary", "Importer", "InputFile", "SkippedLine", "open_input"]
