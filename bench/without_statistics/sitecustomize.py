"""For the benchmark alone: a writer that keeps no statistics, so that their cost can be told."""

import sys

if "answerback.ledger.writer.process" in sys.orig_argv:
    from answerback.ledger.write.rollups import IngestCounter, Rollups

    def _nothing(*_: object) -> None:
        """Leave it out."""

    for kept in (IngestCounter, Rollups):
        for name in ("count", "count_overdue", "replace", "write"):
            if hasattr(kept, name):
                setattr(kept, name, _nothing)
