"""Weigh a call on PostgreSQL and a callback in JetStream: bytes with indexes, bytes of write-ahead log, bytes of the streams' files.

The figures are inputs of bench/simulate_scaling.py.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path

from engines import INTAKE_ALONE, Case, engines
from run import HERE, RESULTS, load, running, scratch
from seed import callids, received

sys.path.append(str(HERE.parent / "tests"))
from postgresql import PostgreSQL

from answerback.ledger import open_postgresql

BATCH = 512


def on_postgresql(calls: int) -> tuple[float, float, list[tuple[str, float]]]:
    """Bytes a call of the database, of its log, and of each table with its partitions and indexes, largest first."""
    with PostgreSQL.start() as server:
        url = server.create_database()
        name = url.rpartition("/")[2]
        ledger = open_postgresql(url, allow_unsafe=True)
        empty, began = _size(server, name), _log(server)
        chance = random.Random(7)
        batch = []
        for index, (callid, started_s) in enumerate(callids(calls)):
            batch.append(received(callid, started_s, chance))
            if len(batch) == BATCH or index == calls - 1:
                ledger.record(batch)
                batch = []
        ledger.close()
        logged = _log(server) - began
        tables = server.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 8",
            name,
        )
        parts = [(str(table), int(size) / calls) for table, size in tables]
        return (_size(server, name) - empty) / calls, logged / calls, parts


def _size(server: PostgreSQL, name: str) -> int:
    return int(server.execute(f"SELECT pg_database_size('{name}')", name)[0][0])


def _log(server: PostgreSQL) -> int:
    return int(server.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")[0][0])


def on_sqlite(calls: int, where: Path) -> float:
    """Bytes a call of the SQLite file."""
    with scratch(where) as directory:
        fill = [sys.executable, str(HERE / "seed.py"), "--data-dir", str(directory), "--calls", str(calls)]
        subprocess.run(fill, check=True, stdout=subprocess.DEVNULL)
        return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / calls


def in_jetstream(connections: int, seconds: int, where: Path) -> tuple[float, float, float]:
    """Bytes a callback of one replica's streams, of its files, and how many callbacks a batch has."""
    with engines(Case("weighed", nats=3), where) as place:
        with running("answerback", place.directory / "data", *INTAKE_ALONE, *place.options):
            result = load(connections, seconds, 0)
        node = place.stream.nodes[0]
        info = node.ask("/jsz") or {}
        files = sum(file.stat().st_size for file in (node.directory / "jetstream").rglob("*.blk"))
        callbacks = result.requests - result.refused + 1
        return info["bytes"] / callbacks, files / callbacks, callbacks / info["messages"]


def main() -> None:
    """Weigh both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    size, log, tables = on_postgresql(given.calls)
    print(f"PostgreSQL: {size:.0f} bytes a call with indexes, {log:.0f} bytes of log")
    for table, part in tables:
        print(f"  {table}: {part:.0f}")
    print(f"SQLite: {on_sqlite(given.calls, RESULTS):.0f} bytes a call")
    for connections in (64, 256):
        used, files, batch = in_jetstream(connections, given.seconds, RESULTS)
        print(
            f"JetStream, {connections} connections: {used:.0f} bytes a callback ({files:.0f} of files), {batch:.1f} a batch"
        )


if __name__ == "__main__":
    main()
