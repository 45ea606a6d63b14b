"""Copies: a ledger moves to another store while it is served, page by page, and both are compared to the last byte."""

from answerback.store_copy.copy import CopyJob, CopyResult, ProgressReporter
from answerback.store_copy.locations import StoreLocation, parse_location
from answerback.store_copy.table_sync import TableSyncResult
from answerback.store_copy.verification import Difference, VerifyResult

__all__ = [
    "CopyJob",
    "CopyResult",
    "Difference",
    "ProgressReporter",
    "StoreLocation",
    "TableSyncResult",
    "VerifyResult",
    "parse_location",
]
