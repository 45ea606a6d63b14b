"""Work out what 1 million callbacks a second and 100 billion calls need, from what was measured, and write it into docs/scaling.md.

`--check` writes nothing and exits with 1 where docs/scaling.md or docs/scaling.zh-CN.md holds other tables than these. The
figures of MEASURED come from bench/cluster.py, bench/storage.py and bench/relay.py; those of ASSUMED are to be replaced.
"""

import argparse
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from scaling_model import Assumed, Measured, Plan, bottlenecks, costs, limits, plan

HOW = ("2 cores for everything, load generator included", "共 2 核，含压测程序")
"""Under what conditions MEASURED was found; said above its table."""

MEASURED = Measured(
    # bench/cluster.py, 256 connections:
    sqlite_answers_per_s=16_343,
    postgresql_answers_per_s=17_245,
    jetstream_answers_per_s=16_835,
    sustained_answers_per_s=8_242,  # recorded into PostgreSQL
    recorded_per_s=14_114,  # into PostgreSQL
    second_intake=0.94,
    leader_killed_p99_ms=563,
    leader_stepped_down_p99_ms=123,
    intake_us=46,
    stream_publish_us=26,  # three servers together
    stream_deliver_us=10,  # the same
    recorder_us=48,  # gateway 5 and writer 43
    postgresql_us=21,
    # bench/relay.py, in the form `tencent`, on SQLite:
    delivered_per_s=5_920,
    relay_us=190,  # relay 160 and writer 30
    # bench/storage.py, 100,000 calls of one callback each; SQLite: bench/console.py, 10 million:
    sqlite_call_bytes=670,
    call_bytes=625,  # calls and sums with their indexes
    callback_bytes=409,  # callbacks with theirs
    log_bytes=1_357,  # at 512 callbacks a transaction
    stream_bytes=314,  # a replica's files at 83 callbacks a batch
    process_mb=162,  # bench/run.py: a gateway and its writer
)

ASSUMED = Assumed(
    callbacks_per_call=1.3,
    fill=0.6,
    outage_s=3600,
    delivery_bytes=400,
    request_bytes=400,
    answer_bytes=150,
    statement_bytes=600,
    webhook_bytes=550,
    server_cores=16,
    database_tb=8.0,
    log_mb_per_s=300,
    database_gb=128,
    nats_gb=16,
    core_price=20.0,
    gb_price=2.5,
    tb_price=60.0,
)

LOADS = ((1_000, 1_000_000_000), (10_000, 10_000_000_000), (100_000, 10_000_000_000), (1_000_000, 100_000_000_000))

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {"en": DOCS / "scaling.md", "zh": DOCS / "scaling.zh-CN.md"}

Cell = str | tuple[str, str]
"""A text, or one in English and one in Chinese."""

Table = list[tuple[Cell, ...]]


def node() -> Table:
    """What one machine does."""
    m = MEASURED
    return [
        (("one machine", "单机"), (f"measured, {HOW[0]}", f"实测，{HOW[1]}")),
        (("durable answers/s, SQLite", "持久化应答/秒，SQLite"), f"{m.sqlite_answers_per_s:,}"),
        (("durable answers/s, PostgreSQL", "持久化应答/秒，PostgreSQL"), f"{m.postgresql_answers_per_s:,}"),
        (
            ("durable answers/s, JetStream, three servers", "持久化应答/秒，JetStream 三台服务器"),
            f"{m.jetstream_answers_per_s:,}",
        ),
        (
            ("the same while a recorder keeps up, PostgreSQL", "同上，且记录器跟得上，PostgreSQL"),
            f"{m.sustained_answers_per_s:,}",
        ),
        (("recorded/s out of the stream, PostgreSQL", "从流写入账本/秒，PostgreSQL"), f"{m.recorded_per_s:,}"),
        (("delivered/s to one endpoint, `tencent`", "向一个端点投递/秒，`tencent`"), f"{m.delivered_per_s:,}"),
        (("two intakes against one, on the same cores", "两个接入进程与一个之比，同样的核"), f"{m.second_intake:.2f}"),
        (
            ("p99 of the answer after kill -9 of a stream's leader", "kill -9 流的 leader 后应答的 p99"),
            f"{m.leader_killed_p99_ms:,} ms",
        ),
        (
            ("the same after a step-down", "主动让位（step-down）后"),
            f"{m.leader_stepped_down_p99_ms:,} ms",
        ),
        (("bytes a call, SQLite", "每通电话字节数，SQLite"), f"{m.sqlite_call_bytes:,}"),
        (
            (
                "bytes a call of one callback, PostgreSQL, with indexes",
                "每通电话（一条回调）字节数，PostgreSQL，含索引",
            ),
            f"{m.call_bytes + m.callback_bytes:,}",
        ),
        (("bytes of log a callback, PostgreSQL", "每条回调的 WAL 字节数，PostgreSQL"), f"{m.log_bytes:,}"),
        (("bytes a callback in each replica of the stream", "每条回调在流的每个副本中的字节数"), f"{m.stream_bytes:,}"),
    ]


PARTS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "ledger": (
        ("one ledger, written by one recorder", "一个账本，由一个记录器写入"),
        ("more ledgers: partitions", "更多账本：分区"),
    ),
    "endpoint": (
        ("one endpoint that gets every event", "一个接收全部事件的端点"),
        ("more ledgers: each leases it to a relay of its own", "更多账本：每个账本各租给自己的 relay 进程"),
    ),
    "intake": (("one intake process", "一个接入进程"), ("more intakes", "更多接入进程")),
    "streams": (("three NATS servers", "三台 NATS 服务器"), ("more clusters of three", "更多三台一组的集群")),
    "log": (("the disk of one PostgreSQL's log", "一台 PostgreSQL 的 WAL 磁盘"), ("more servers", "更多服务器")),
}


def limited() -> Table:
    """Where each part stops, lowest first."""
    order = [limit.part for limit in bottlenecks(MEASURED, ASSUMED)]
    rank: dict[str, Cell] = {part: str(n) for n, part in enumerate(order, start=1)}
    rank[order[0]] = ("**1, the first**", "**1，第一个**")
    rows: Table = [
        (
            ("part of one deployment", "单套部署的组成部分"),
            ("stops at callbacks/s", "上限（回调/秒）"),
            ("bottleneck", "第几个瓶颈"),
            ("what moves it", "如何突破"),
        )
    ]
    for limit in limits(MEASURED, ASSUMED):
        name, remedy = PARTS[limit.part]
        rows.append((name, f"{limit.per_s:,.0f}", rank.get(limit.part, ""), remedy))
    return rows


@cache
def plans() -> list[Plan]:
    """What each load needs."""
    return [plan(MEASURED, ASSUMED, peak_per_s, calls) for peak_per_s, calls in LOADS]


ROWS: tuple[tuple[tuple[str, str], Callable[[Plan], str]], ...] = (
    (("calls kept, billions", "保存的通话，十亿"), lambda one: f"{one.calls / 1e9:,.0f}"),
    (("which are days of this load", "相当于此负载的天数"), lambda one: f"{one.days_kept:,.1f}"),
    (("partitions, a ledger each", "分区数，每个分区一个账本"), lambda one: f"{one.partitions:,}"),
    (("streams, three a partition", "流的数量，每个分区三个"), lambda one: f"{one.streams:,}"),
    (("intake processes", "接入进程"), lambda one: f"{one.intakes:,}"),
    (("recorders", "记录器"), lambda one: f"{one.recorders:,}"),
    (("relay processes", "中继进程"), lambda one: f"{one.relays:,}"),
    (("cores for these three", "以上三类进程所需核数"), lambda one: f"{one.gateway_cores:,}"),
    (("NATS servers", "NATS 服务器"), lambda one: f"{one.nats_servers:,}"),
    (("disk of the streams, three replicas, TB", "流的磁盘，三副本，TB"), lambda one: f"{one.stream_tb:,.2f}"),
    (("PostgreSQL servers, standbys included", "PostgreSQL 服务器，含备库"), lambda one: f"{one.databases:,}"),
    (("cores PostgreSQL uses", "PostgreSQL 用到的核数"), lambda one: f"{one.database_cores:,}"),
    (("disk of the ledgers and standbys, TB", "账本及备库的磁盘，TB"), lambda one: f"{one.database_tb:,.1f}"),
    (("PostgreSQL's log, MB/s", "PostgreSQL WAL，MB/秒"), lambda one: f"{one.log_mb_per_s:,.0f}"),
    (("network, all hops, Gbit/s", "网络，各跳合计，Gbit/秒"), lambda one: f"{one.network_gbit_per_s:,.2f}"),
    (("memory, GB", "内存，GB"), lambda one: f"{one.memory_gb:,.0f}"),
)


def planned() -> Table:
    """The plan, a column for each load."""
    rows: Table = [
        (("callbacks/s in the busiest hour", "最忙一小时的回调/秒"), *(f"{one.peak_per_s:,}" for one in plans()))
    ]
    return rows + [(name, *(show(one) for one in plans())) for name, show in ROWS]


def day() -> Table:
    """The simulated day of the largest load."""
    largest = plans()[-1]
    found, minutes = largest.day, ASSUMED.outage_s // 60
    return [
        (("the largest load, a day", "最大负载的一天"), ""),
        (
            ("callbacks a day, billions", "每天回调数，十亿"),
            f"{found.callbacks_per_day * largest.partitions / 1e9:,.1f}",
        ),
        (
            ("calls a day, billions", "每天通话数，十亿"),
            f"{found.callbacks_per_day * largest.partitions / ASSUMED.callbacks_per_call / 1e9:,.1f}",
        ),
        (
            ("callbacks/s of one partition in the busiest hour", "最忙一小时每个分区的回调/秒"),
            f"{largest.peak_per_s / largest.partitions:,.0f}",
        ),
        (
            (
                f"one ledger is away {minutes} min in it: callbacks that wait",
                f"其间一个账本离线 {minutes} 分钟：积压的回调",
            ),
            f"{found.most_behind:,.0f}",
        ),
        (
            ("bytes of them in each replica, GB", "每个副本中的积压，GB"),
            f"{found.most_behind * MEASURED.stream_bytes / 1e9:,.2f}",
        ),
        (("the longest any of them waits, min", "最长等待，分钟"), f"{found.longest_lag_s / 60:,.0f}"),
        (("level again after it is back, min", "恢复后追平所需，分钟"), f"{found.level_after_s / 60:,.0f}"),
    ]


def assumptions() -> Table:
    """What the plan takes for granted."""
    a = ASSUMED
    return [
        (("assumed, to be replaced", "假设，请换成自己的"), ""),
        (("callbacks a call", "每通电话的回调数"), f"{a.callbacks_per_call}"),
        (("parts are filled to", "各部分的使用率"), f"{a.fill:.0%}"),
        (
            ("bytes a delivery with its attempts, not measured", "每个投递及其尝试的字节数，未实测"),
            f"{a.delivery_bytes}",
        ),
        (
            ("bytes on the wire: request, answer, statements, webhook", "网络字节数：请求、应答、SQL、webhook"),
            f"{a.request_bytes}, {a.answer_bytes}, {a.statement_bytes}, {a.webhook_bytes}",
        ),
        (("cores a server", "每台服务器核数"), f"{a.server_cores}"),
        (("disk of a PostgreSQL server, TB", "每台 PostgreSQL 的磁盘，TB"), f"{a.database_tb:.0f}"),
        (("what its log's disk writes, MB/s", "其 WAL 磁盘写入，MB/秒"), f"{a.log_mb_per_s}"),
        (
            ("memory of a PostgreSQL and of a NATS server, GB", "PostgreSQL、NATS 服务器内存，GB"),
            f"{a.database_gb}, {a.nats_gb}",
        ),
        (
            ("price a month: core, GB of memory, TB of disk", "每月单价：核、GB 内存、TB 磁盘"),
            f"{a.core_price:.0f}, {a.gb_price}, {a.tb_price:.0f}",
        ),
    ]


def cost() -> Table:
    """What each plan costs a month at the assumed prices."""
    each = [costs(one, ASSUMED) for one in plans()]
    head = ("a month, in units of the prices", "每月，按假设单价")
    return [
        (head, *(f"{one.peak_per_s:,}/s" for one in plans())),
        (("intakes, recorders, relays", "接入、记录器、中继进程"), *(f"{one.gateway:,.0f}" for one in each)),
        (("NATS servers", "NATS 服务器"), *(f"{one.nats:,.0f}" for one in each)),
        (("PostgreSQL servers", "PostgreSQL 服务器"), *(f"{one.databases:,.0f}" for one in each)),
        (("disks", "磁盘"), *(f"{one.disks:,.0f}" for one in each)),
        (("sum", "合计"), *(f"{one.total:,.0f}" for one in each)),
    ]


TABLES: dict[str, Callable[[], Table]] = {
    "node": node,
    "limits": limited,
    "assumptions": assumptions,
    "plan": planned,
    "day": day,
    "cost": cost,
}


def rendered(table: Table, language: str) -> str:
    """A table as Markdown, numbers to the right."""
    rows = [[cell if isinstance(cell, str) else cell[language == "zh"] for cell in row] for row in table]
    ruler = ["---", *("---:" if "," in cell or cell[:1].isdigit() or not cell else "---" for cell in rows[1][1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ruler, *rows[1:]])


def filled(page: str, language: str) -> str:
    """The page with each table between its marks. Raises ValueError where a mark is missing."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table {name} -->\n", f"<!-- end {name} -->"
        before, begun, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise ValueError(
                f"no place for the table {name}: write {begin.strip()} and {end.strip()} on lines of their own"
            )
        page = f"{before}{begin}{rendered(table(), language)}\n{end}{after}"
    return page


def stale() -> list[str]:
    """The pages that hold other tables than the simulation's."""
    return [path.name for language, path in PAGES.items() if path.read_text() != filled(path.read_text(), language)]


def main() -> int:
    """Write the tables into both pages, or say which of them are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a page is stale")
    if parser.parse_args().check:
        for name in (found := stale()):
            print(f"docs/{name} is stale: run python bench/simulate_scaling.py", file=sys.stderr)
        return int(bool(found))
    for language, path in PAGES.items():
        path.write_text(filled(path.read_text(), language))
    for table in TABLES.values():
        print(rendered(table(), "en"), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
