"""The schema, one for every backend. Why the keys are as they are: docs/decisions/0004-append-mostly-keys.md.

`*_us` are microseconds since 1970, UTC, of our own clock; `*_at` of a call are the vendor's Unix seconds.
"""

from answerback.ledger.tables.base import metadata, saturating_add
from answerback.ledger.tables.operation import (
    alerts,
    api_keys,
    audit_events,
    commit_tokens,
    consumed_batches,
    erasures,
    instances,
    leases,
    log_positions,
    spent_tokens,
    write_probes,
)
from answerback.ledger.tables.recording import (
    AWAITED_PREDICATE,
    FAILURE_CODE_PREDICATE,
    FEE_MISMATCH_PREDICATE,
    OVERDUE_PREDICATE,
    REFERENCE_PREDICATE,
    call_key,
    callbacks,
    calls,
    pruned_calls,
    quarantine,
)
from answerback.ledger.tables.relay import (
    BLOCKED_PREDICATE,
    DEAD_PREDICATE,
    PENDING_PREDICATE,
    attempts,
    deliveries,
    endpoint_revision,
    endpoints,
)
from answerback.ledger.tables.statistics import hourly_ingest, rollup_breakdowns, rollups
