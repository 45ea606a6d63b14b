"""What all tables share."""

from sqlalchemy import BigInteger, Column, ColumnElement, Integer, MetaData, case

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite's own row id is spelled INTEGER

MAX_INTEGER = 2**31 - 1


def saturating_add(column: Column[int], more: int | ColumnElement[int]) -> ColumnElement[int]:
    """A counter and `more`, or the largest number that its column holds: no flood of repeats may make it overflow."""
    return case((column > MAX_INTEGER - more, MAX_INTEGER), else_=column + more)
