"""How the target stands to the source: empty, a former copy of it, or something else, which is left alone.

From the first row on until both are equal the target is shut: it says a schema that no gateway serves. So what it holds was
written by copies only, and nobody serves half a ledger.
"""

from answerback.errors import StateConflict
from answerback.ledger import migrations
from answerback.store_copy.activity import live_instances
from answerback.store_copy.connection import StoreConnection
from answerback.store_copy.locations import StoreLocation
from answerback.store_copy.postgresql import normalize_row
from answerback.store_copy.tables import IDENTITY_COLUMNS, TABLE_SPECS, Key, Row, TableSpec

_AT_ENDS = 50
_BETWEEN = 50


def require_schema(side: StoreConnection) -> None:
    """Refuse a source that is not of this program's schema. Raises SchemaMismatch, StateConflict."""
    version, place = side.schema_version(), f"{side.location.option}, {side.location}"
    if version is None:
        raise StateConflict(f"{place}: there is no ledger")
    if version == migrations.COPY_IN_PROGRESS:
        raise StateConflict(f"{place}: the copy into it is not finished: finish that first")
    if version != migrations.HEAD:
        migrations.refuse(version, place)


def lock_target(source: StoreConnection, target: StoreConnection) -> None:
    """Take the target for copying, if it is empty or a former copy of the source. Raises StateConflict, SchemaMismatch."""
    is_shut = target.schema_version() == migrations.COPY_IN_PROGRESS
    if not is_shut:
        require_schema(target)
        if served := live_instances(target):
            who = f"{served[0].instance.host}, process {served[0].instance.pid}"
            raise StateConflict(
                f"{target.location.option}, {target.location}: a gateway serves it ({who}): stop it first"
            )
    for spec in TABLE_SPECS:
        if spec.name in IDENTITY_COLUMNS and not (is_shut and spec.name == "quarantine"):  # its ids are used again
            _require_same_origin(source, target, spec, prunable=is_shut)
    with target.transaction() as connection:
        migrations.begin_copy(connection)


def unlock_target(target: StoreConnection) -> None:
    """Both are equal: gateways may serve it."""
    target.commit_strictly()
    with target.transaction() as connection:
        migrations.end_copy(connection)


def _require_same_origin(source: StoreConnection, target: StoreConnection, spec: TableSpec, *, prunable: bool) -> None:
    """Look for some of the target's rows in the source. Raises StateConflict where one is not there, or is another."""
    columns = (*spec.key, *IDENTITY_COLUMNS[spec.name])
    sample = _sample(target, spec, columns)
    there = {
        spec.key_of(row): normalize_row(row)
        for row in source.rows_of(spec, columns, [spec.key_of(row) for row in sample])
    }
    for row in sample:
        key = spec.key_of(row)
        if there.get(key) != normalize_row(row) and not (prunable and key not in there and there):
            raise StateConflict(_mismatch_message(source.location, target.location, spec, key))


def _sample(target: StoreConnection, spec: TableSpec, columns: tuple[str, ...]) -> list[Row]:
    """The first rows, the last, and some between."""
    first, last = target.rows(spec, columns, limit=_AT_ENDS), target.last_key(spec)
    if last is None:
        return []
    low, high = int(str(first[0][0])), int(str(last[0]))
    steps = [low + (high - low) * step // _BETWEEN for step in range(1, _BETWEEN)]
    between = [row for step in steps for row in target.rows(spec, columns, (step,), limit=1)]
    at_end = target.rows(spec, columns, (high - _AT_ENDS,))
    return list({spec.key_of(row): row for row in (*first, *between, *at_end)}.values())


def _mismatch_message(source: StoreLocation, target: StoreLocation, spec: TableSpec, key: Key) -> str:
    return (
        f"{target.option}, {target}: row {key[0]} of {spec.name} is not in {source}: it is not a copy of that, or a gateway has "
        f"served it since it was copied. Name an empty database or directory, or empty this one"
    )
