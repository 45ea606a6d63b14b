"""Statistics of one day, as an example."""

from typing import Any

from answerback.api.openapi.example_data import CALL, Record

_RANGE: Record = {"since": "2016-08-02T16:00:00Z", "until": "2016-08-03T16:00:00Z"}
_COUNTS: Record = {
    "calls": 100,
    "answered": 72,
    "unanswered": 18,
    "failed": 8,
    "pending": 2,
    "answer_rate": 0.7346938775510204,
}
_BILLED: Record = _COUNTS | {"fee_minutes": 75}
_ANSWERED: Record = {"calls": 1, "answered": 1, "unanswered": 0, "failed": 0, "pending": 0, "answer_rate": 1.0}
_CODES: list[Record] = [
    {"code": 8, "reason": "空号", "reason_en": "number not in service", "calls": 6, "share": 0.75},
    {"code": 1, "reason": "关机", "reason_en": "powered off", "calls": 2, "share": 0.25},
]
_FEES: Record = {"billed_minutes": 75, "due_minutes": 74, "mismatched_calls": 1, "overbilled_minutes": 1}

STATISTICS: Record = _RANGE | {
    "timezone": "Asia/Shanghai",
    "total": _BILLED,
    "ring_seconds": {"calls": 90, "mean": 14.2, "p50": 12, "p90": 31},
    "talk_seconds": {"calls": 72, "mean": 22.875, "p50": 19, "p90": 48},
    "overdue": 1,
    "ingest": {"callbacks": 131, "duplicates": 4, "revisions": 0, "quarantined": 1},
    "fees": _FEES,
    "trend": [_BILLED | {"at": _RANGE["since"]}],
    "by_hour_of_day": [_ANSWERED | {"weekday": "wednesday", "hour": 12}],
    "kinds": [_BILLED | {"kind": "prompt"}],
    "channels": [_BILLED | {"channel": "default"}],
    "carriers": [_COUNTS | {"carrier": "China Mobile", "carrier_zh": "中国移动"}],
    "regions": [_COUNTS | {"region": "CN-GD", "region_en": "Guangdong", "region_zh": "广东"}],
    "failures": _CODES,
}
FAILURES: Record = _RANGE | {"calls": 100, "items": _CODES}
_BILLED_TWICE: dict[str, Any] = CALL | {"fee_minutes": 2, "due_minutes": 1, "overbilled_minutes": 1}
FEES: Record = _RANGE | _FEES | {"items": [_BILLED_TWICE], "next_cursor": None}
