"""The arithmetic of bench/simulate_scaling.py: what limits one deployment, what a load needs, and two days of one partition.

Nothing is random: parts are queues with a rate, time goes in steps of ten seconds.
"""

from dataclasses import dataclass
from math import ceil, log2

_US = 1_000_000
_DAY_S = 86_400
_STEP_S = 10
_COPIES = 3

DAY = (5, 3, 2, 2, 2, 4, 10, 25, 55, 85, 100, 92, 60, 65, 88, 96, 94, 80, 62, 66, 70, 52, 28, 12)
"""Load by hour as a share of the busiest hour's: notifications and reminders by day, codes in the evening."""


@dataclass(frozen=True)
class Measured:
    """What the benchmarks and bench/storage.py found. CPU is that of one callback, of all processes of a part together."""

    sqlite_answers_per_s: int
    postgresql_answers_per_s: int
    jetstream_answers_per_s: int
    sustained_answers_per_s: int
    recorded_per_s: int
    delivered_per_s: int
    second_intake: float
    leader_killed_p99_ms: int
    leader_stepped_down_p99_ms: int
    intake_us: int
    stream_publish_us: int
    stream_deliver_us: int
    recorder_us: int
    postgresql_us: int
    relay_us: int
    sqlite_call_bytes: int
    call_bytes: int
    callback_bytes: int
    log_bytes: int
    stream_bytes: int
    process_mb: int


@dataclass(frozen=True)
class Assumed:
    """What nobody has measured here: how a real day, real machines and real prices are."""

    callbacks_per_call: float
    fill: float
    """How much of what a part could do is planned with."""
    outage_s: int
    """How long a database is away, in the busiest hour."""
    delivery_bytes: int
    request_bytes: int
    answer_bytes: int
    statement_bytes: int
    webhook_bytes: int
    server_cores: int
    database_tb: float
    log_mb_per_s: int
    database_gb: int
    nats_gb: int
    core_price: float
    gb_price: float
    tb_price: float


@dataclass(frozen=True)
class Limit:
    """Where one part stops: callbacks a second, and whether more processes of it would move that."""

    part: str
    per_s: float
    movable: bool


def limits(measured: Measured, assumed: Assumed) -> list[Limit]:
    """What limits one deployment with one ledger and one cluster of three NATS servers, lowest first."""
    stream_us = measured.stream_publish_us + measured.stream_deliver_us
    found = [
        Limit("ledger", measured.recorded_per_s, movable=False),
        Limit("endpoint", measured.delivered_per_s, movable=False),
        Limit("intake", _US / measured.intake_us, movable=True),
        Limit("streams", _COPIES * assumed.server_cores * _US / stream_us, movable=True),
        Limit("log", assumed.log_mb_per_s * _US / measured.log_bytes, movable=False),
    ]
    return sorted(found, key=lambda limit: limit.per_s)


def bottlenecks(measured: Measured, assumed: Assumed) -> list[Limit]:
    """The limits that more processes do not move, in the order in which a growing load meets them."""
    return [limit for limit in limits(measured, assumed) if not limit.movable]


@dataclass(frozen=True)
class Day:
    """Two days of one partition, whose database is away once, in the busiest hour."""

    callbacks_per_day: float
    most_behind: float
    longest_lag_s: float
    level_after_s: float


def share_at(second: float) -> float:
    """The load at a second of the day, as a share of the busiest hour's: straight between the hours."""
    hour, rest = divmod(second / 3600 % 24, 1)
    return ((1 - rest) * DAY[int(hour)] + rest * DAY[(int(hour) + 1) % 24]) / max(DAY)


def simulate(peak_per_s: float, recorded_per_s: float, outage_s: int) -> Day:
    """What comes in waits in the stream until the recorder takes it; while the database is away it takes nothing."""
    away_from_s = DAY.index(max(DAY)) * 3600 - outage_s // 2
    behind = most = longest_s = level_after_s = came = 0.0
    for now_s in range(0, 2 * _DAY_S, _STEP_S):
        arriving = peak_per_s * share_at(now_s) * _STEP_S
        away = away_from_s <= now_s < away_from_s + outage_s
        behind = max(0.0, behind + arriving - (0.0 if away else recorded_per_s * _STEP_S))
        came += arriving
        most = max(most, behind)
        longest_s = max(longest_s, behind / recorded_per_s + (away_from_s + outage_s - now_s if away else 0))
        if behind:
            level_after_s = now_s + _STEP_S - away_from_s - outage_s
    return Day(came / 2, most, longest_s, level_after_s)


@dataclass(frozen=True)
class Plan:
    """What a load needs."""

    peak_per_s: int
    calls: int
    partitions: int
    streams: int
    intakes: int
    recorders: int
    relays: int
    gateway_cores: int
    nats_servers: int
    stream_tb: float
    databases: int
    database_cores: int
    database_tb: float
    gateway_gb: float
    memory_gb: float
    log_mb_per_s: float
    network_gbit_per_s: float
    days_kept: float
    day: Day


def plan(measured: Measured, assumed: Assumed, peak_per_s: int, calls: int) -> Plan:
    """Servers by disk, CPU and log; a partition for each at least, and as many as the first bottleneck asks for; then the rest."""
    database_cores = 2 * _cores(peak_per_s, measured.postgresql_us, assumed)
    database_bytes = calls * _bytes_per_call(measured, assumed)
    log_mb_per_s = peak_per_s * measured.log_bytes / _US
    primaries = max(
        ceil(database_bytes / 1e12 / (assumed.database_tb * assumed.fill)),
        ceil(database_cores / 2 / assumed.server_cores),
        ceil(log_mb_per_s / (assumed.log_mb_per_s * assumed.fill)),
    )
    per_partition = min(limit.per_s for limit in bottlenecks(measured, assumed)) * assumed.fill
    partitions = 2 ** ceil(log2(max(1.0, peak_per_s / per_partition, primaries)))
    day = simulate(peak_per_s / partitions, measured.recorded_per_s, assumed.outage_s)
    intakes = max(2, _cores(peak_per_s, measured.intake_us, assumed))
    recorders = max(2, partitions)
    relays = max(2, partitions, ceil(peak_per_s / (measured.delivered_per_s * assumed.fill)))
    work_us = measured.intake_us + measured.recorder_us + measured.relay_us
    stream_cores = _cores(peak_per_s, measured.stream_publish_us + measured.stream_deliver_us, assumed)
    nats_servers = _COPIES * max(1, ceil(stream_cores / assumed.server_cores / _COPIES))
    gateway_gb = (intakes + recorders + relays) * measured.process_mb / 1000
    return Plan(
        peak_per_s=peak_per_s,
        calls=calls,
        partitions=partitions,
        streams=_COPIES * partitions,
        intakes=intakes,
        recorders=recorders,
        relays=relays,
        gateway_cores=_cores(peak_per_s, work_us, assumed),
        nats_servers=nats_servers,
        stream_tb=day.most_behind * partitions * measured.stream_bytes * _COPIES / assumed.fill / 1e12,
        databases=2 * primaries,
        database_cores=database_cores,
        database_tb=2 * database_bytes / assumed.fill / 1e12,
        gateway_gb=gateway_gb,
        memory_gb=gateway_gb + 2 * primaries * assumed.database_gb + nats_servers * assumed.nats_gb,
        log_mb_per_s=log_mb_per_s,
        network_gbit_per_s=peak_per_s * _bytes_on_the_wire(measured, assumed) * 8 / 1e9,
        days_kept=calls * assumed.callbacks_per_call / (day.callbacks_per_day * partitions),
        day=day,
    )


def _cores(per_s: float, used_us: float, assumed: Assumed) -> int:
    return ceil(per_s * used_us / _US / assumed.fill)


def _bytes_per_call(measured: Measured, assumed: Assumed) -> float:
    return measured.call_bytes + assumed.callbacks_per_call * (measured.callback_bytes + assumed.delivery_bytes)


def _bytes_on_the_wire(measured: Measured, assumed: Assumed) -> float:
    """In and out once, into the stream, to two followers, to the recorder, into the database and its standby, to the endpoint."""
    through_stream = (1 + (_COPIES - 1) + 1) * measured.stream_bytes
    into_ledger = assumed.statement_bytes + measured.log_bytes
    return assumed.request_bytes + assumed.answer_bytes + through_stream + into_ledger + assumed.webhook_bytes


@dataclass(frozen=True)
class Costs:
    """What a plan costs a month, by part, in whatever the prices are in."""

    gateway: float
    nats: float
    databases: float
    disks: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.gateway + self.nats + self.databases + self.disks


def costs(needed: Plan, assumed: Assumed) -> Costs:
    """Cores, memory and disks by their prices; servers are paid whole."""

    def of(cores: float, memory_gb: float) -> float:
        return cores * assumed.core_price + memory_gb * assumed.gb_price

    return Costs(
        gateway=of(needed.gateway_cores, needed.gateway_gb),
        nats=of(needed.nats_servers * assumed.server_cores, needed.nats_servers * assumed.nats_gb),
        databases=of(needed.databases * assumed.server_cores, needed.databases * assumed.database_gb),
        disks=(needed.database_tb + needed.stream_tb) * assumed.tb_price,
    )
