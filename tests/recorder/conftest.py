"""The ledger that a test is about, on every backend, and a place for its inbox."""

from contract.conftest import ledger, reopen, store, tmp_path

__all__ = ["ledger", "reopen", "store", "tmp_path"]
