"""The dashboard as Grafana imports it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from monitoring.exposed import EXPOSED, PREFIX
from monitoring.panels import Panel, Row

UID = "answerback"
_SCHEMA_VERSION = 39
_COLUMNS = 24
_HEIGHTS = {"stat": 4, "timeseries": 8}
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_NAMES = re.compile(rf"\b{PREFIX}\w+")
_SERIES = re.compile(r"_(?:bucket|sum|count)$")


def dashboard_document(rows: Sequence[Row]) -> dict[str, Any]:
    """deploy/grafana/answerback.json as data."""
    return {
        "uid": UID,
        "title": "Answerback",
        "description": "Voice callbacks: answered, stored, delivered.",
        "tags": ["answerback"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": list(_placed(rows)),
    }


def metrics_in(expr: str) -> set[str]:
    """The names of the metrics that PromQL asks for, without what Prometheus adds to those of histograms."""
    return {name if name in EXPOSED else _SERIES.sub("", name) for name in _NAMES.findall(expr)}


def _variables() -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }
    up = f"{PREFIX}up_for_writes"
    return [source, _variable("job", f"label_values({up}, job)"), _variable("instance", _instances(up))]


def _instances(metric: str) -> str:
    return f'label_values({metric}{{job=~"$job"}}, instance)'


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Every row's heading and its panels, each with an id and a place of its own."""
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], **_at(0, top, 24, 1)}
        left, top, height = 0, top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                left, top, height = 0, top + height, 0
            number += 1
            height = max(height, _HEIGHTS[panel.kind])
            yield {"id": number, **_panel(panel), **_at(left, top, panel.width, _HEIGHTS[panel.kind])}
            left += panel.width
        top += height


def _at(left: int, top: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": left, "y": top, "w": width, "h": height}}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": _words(panel),
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": True,
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **_thresholds(panel)}, "overrides": []},
        "options": _options(panel),
    }


def _words(panel: Panel) -> str:
    """What the gateway itself says of the metrics that the panel shows."""
    names = sorted({name for query in panel.queries for name in metrics_in(query.expr)})
    return " ".join(f"{name}: {EXPOSED[name].words}" for name in names)


def _thresholds(panel: Panel) -> dict[str, Any]:
    if panel.limit is None:
        return {}
    below, above = ("red", "green") if panel.low_is_bad else ("green", "red")
    steps = [{"color": below, "value": None}, {"color": above, "value": panel.limit}]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
