"""PromQL about the gateway's metrics. A metric that it does not have, or not of that kind or with that label, is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from monitoring.exposed import EXPOSED, PREFIX, Exposed

_narrowed: ContextVar[str] = ContextVar("narrowed", default="")


@contextmanager
def narrowed(matchers: str) -> Iterator[None]:
    """Within it every query asks only for the series that match, as `job=~"$job"`."""
    token = _narrowed.set(matchers)
    try:
        yield
    finally:
        _narrowed.reset(token)


def rate(name: str, window: str, *, by: str = "", **where: str) -> str:
    """How much a counter grows in a second, all gateways together."""
    return f"sum{_by(by)} (rate({_series(name, 'counter', by, where)}[{window}]))"


def increase(name: str, window: str, *, by: str = "", **where: str) -> str:
    """How much a counter grew within `window`, all gateways together."""
    return f"sum{_by(by)} (increase({_series(name, 'counter', by, where)}[{window}]))"


def quantile(share: float, name: str, window: str, *, by: str = "") -> str:
    """The value that `share` of what a histogram saw within `window` stays below."""
    series = _series(name, "histogram", by, {}, suffix="_bucket")
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({series}[{window}])))"


def seen(name: str, window: str, *, by: str = "") -> str:
    """How much a histogram sees in a second, all gateways together."""
    return f"sum{_by(by)} (rate({_series(name, 'histogram', by, {}, suffix='_count')}[{window}]))"


def mean(name: str, window: str, *, by: str = "") -> str:
    """The mean of what a histogram saw within `window`."""
    total, count = (_series(name, "histogram", by, {}, suffix=suffix) for suffix in ("_sum", "_count"))
    return f"sum{_by(by)} (rate({total}[{window}])) / sum{_by(by)} (rate({count}[{window}]))"


def each(name: str, **where: str) -> str:
    """A gauge as each gateway says it."""
    return _series(name, "gauge", "", where)


def total(name: str, *, by: str = "", **where: str) -> str:
    """A gauge of which every gateway has its own part, summed up."""
    return f"sum{_by(by)} ({_series(name, 'gauge', by, where)})"


def highest(name: str, *, by: str = "", **where: str) -> str:
    """A gauge that every gateway reads from the one ledger, or the worst of them."""
    return f"max{_by(by)} ({_series(name, 'gauge', by, where)})"


def growth(name: str, window: str, *, by: str = "") -> str:
    """How much a gauge of the ledger rose within `window`."""
    return f"max{_by(by)} (delta({_series(name, 'gauge', by, {})}[{window}]))"


def _series(name: str, kind: str, by: str, where: dict[str, str], suffix: str = "") -> str:
    metric = _metric(name, kind)
    for label in filter(None, [by, *where]):
        if label not in (*metric.labels, "instance", "job"):
            raise ValueError(f"{metric.name} has no label {label}: it has {metric.labels}")
    matchers = ",".join([*(f'{label}="{value}"' for label, value in where.items()), *filter(None, [_narrowed.get()])])
    return f"{metric.name}{suffix}" + (f"{{{matchers}}}" if matchers else "")


def _metric(name: str, kind: str) -> Exposed:
    full = f"{PREFIX}{name}{'_total' if kind == 'counter' else ''}"
    metric = EXPOSED.get(full)
    if metric is None or metric.kind != kind:
        raise ValueError(f"the gateway has no {kind} {full}")
    return metric


def _by(label: str) -> str:
    return f" by ({label})" if label else ""
