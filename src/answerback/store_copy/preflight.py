"""How the target stands to the source: empty, a former copy of it, or something else, which is left alone.

From the first row on until both are equal the target is shut: it says a schema that no gateway serves. So what it holds was
written by copies only, and nobody serves half a ledger.
"""

from answerback.errors import Conflict
from answerback.ledger import migrations
from answerback.ledger.backends.postgresql.partition_ids import NUMBERS, month_of_id
from answerback.store_copy.activity import living
from answerback.store_copy.bulk_insert import kept
from answerback.store_copy.connection import Side
from answerback.store_copy.locations import Place
from answerback.store_copy.tables import IDENTITIES, SHAPES, Key, Row, Shape

_AT_ENDS = 50
_BETWEEN = 50


def schema_of(side: Side) -> str | None:
    """The revision of its schema; None where there is none yet."""
    with side.transaction() as connection:
        return migrations.version(connection)


def require_schema(side: Side) -> None:
    """Refuse a source that is not of this program's schema. Raises LedgerVersion, Conflict."""
    version, place = schema_of(side), f"{side.place.option}, {side.place}"
    if version is None:
        raise Conflict(f"{place}: there is no ledger")
    if version == migrations.UNFINISHED:
        raise Conflict(f"{place}: the copy into it is not finished: finish that first")
    if version != migrations.HEAD:
        migrations.refuse(version, place)


def shut(source: Side, target: Side) -> None:
    """Take the target for copying, if it is empty or a former copy of the source. Raises Conflict, LedgerVersion."""
    is_shut = schema_of(target) == migrations.UNFINISHED
    if not is_shut:
        require_schema(target)
        if served := living(target):
            who = f"{served[0].member.host}, process {served[0].member.pid}"
            raise Conflict(f"{target.place.option}, {target.place}: a gateway serves it ({who}): stop it first")
    for shape in SHAPES:
        if shape.name in IDENTITIES and not (is_shut and shape.name == "quarantine"):  # its ids are used again
            _recognise(source, target, shape, prunable=is_shut)
    with target.transaction() as connection:
        migrations.shut(connection)


def finish(target: Side) -> None:
    """Both are equal: gateways may serve it."""
    target.commit_strictly()
    with target.transaction() as connection:
        migrations.unshut(connection)


def _recognise(source: Side, target: Side, shape: Shape, *, prunable: bool) -> None:
    """Look for some of the target's rows in the source. Raises Conflict where one is not there, or is another."""
    columns = (*shape.key, *IDENTITIES[shape.name])
    sample = _sample(target, shape, columns)
    there = {
        shape.key_of(row): kept(row) for row in source.rows_of(shape, columns, [shape.key_of(row) for row in sample])
    }
    for row in sample:
        key = shape.key_of(row)
        if there.get(key) != kept(row) and not (prunable and key not in there and there):
            raise Conflict(_stranger(source.place, target.place, shape, key))


def _sample(target: Side, shape: Shape, columns: tuple[str, ...]) -> list[Row]:
    """The first rows, the last, and some between."""
    first, last = target.rows(shape, columns, limit=_AT_ENDS), target.last_key(shape)
    if last is None:
        return []
    low, high = int(str(first[0][0])), int(str(last[0]))
    steps = [low + (high - low) * step // _BETWEEN for step in range(1, _BETWEEN)]
    between = [row for step in steps for row in target.rows(shape, columns, (step,), limit=1)]
    at_end = target.rows(shape, columns, (high - _AT_ENDS,))
    return list({shape.key_of(row): row for row in (*first, *between, *at_end)}.values())


def _stranger(source: Place, target: Place, shape: Shape, key: Key) -> str:
    return (
        f"{target.option}, {target}: row {key[0]} of {shape.name} is not in {source}: this is no copy of it, or a gateway has "
        f"served it since it was copied. Name an empty database or directory, or empty this one"
    )


def settle(target: Side) -> None:
    """See that new rows get numbers above all that were copied, and that the tables are known to be large.

    SQLite looks at the rows themselves for both.
    """
    if target.on_postgresql:
        _raise_sequences(target)
        with target.transaction() as connection:
            connection.exec_driver_sql(f"ANALYZE {', '.join(shape.name for shape in SHAPES)}")


def _raise_sequences(target: Side) -> None:
    for shape in SHAPES:
        last = target.last_key(shape) if shape.key == ("id",) else None
        sequence = target.scalar(f"SELECT pg_get_serial_sequence('{shape.name}', 'id')") if last is not None else None
        if last is not None and sequence is not None:
            highest = _highest_number(target, shape, month_of_id(int(str(last[0]))))
            target.scalar(f"SELECT setval('{sequence}', greatest({highest}, last_value)) FROM {sequence}")  # noqa: S608  # our own names


def _highest_number(target: Side, shape: Shape, last_month: int) -> int:
    """The highest number of all months: one look into the index for each."""
    of_month = f"id >= month * {NUMBERS} AND id < (month + 1) * {NUMBERS}"
    each = f"SELECT (SELECT max(id) FROM {shape.name} WHERE {of_month}) % {NUMBERS} AS number"  # noqa: S608  # as above
    months = f"generate_series(0::bigint, {last_month}) AS months (month)"
    highest: int = target.scalar(f"SELECT max(number) FROM ({each} FROM {months}) AS numbers")  # noqa: S608  # as above
    return highest
