"""What Prometheus and Grafana are given fits the metrics that a real gateway shows."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any, NamedTuple

import promql_parser as promql
import pytest
import yaml
from deploy.files import COMPOSE, DEPLOY, ROOT, all_manifests, program
from gateway import Gateway, prompt
from make_monitoring import documents, unshown
from monitoring.exposed import EXPOSED
from monitoring.panels import LEFT_OUT
from nats_servers import NatsCluster
from prometheus_client.parser import text_string_to_metric_families

from answerback.alerts.texts import HEADINGS

_OWN = {"", "__name__", "job", "instance", "le"}
"""Labels that Prometheus adds, or that every histogram has."""

_WINDOW = "5m"
_STANDARD = ("process_", "python_info")
"""What every program's client of Prometheus exposes."""
_TRIAL = {"ANSWERBACK_STREAM__REPLICAS": "1", "ANSWERBACK_STREAM__ALLOW_FEWER_REPLICAS": "true"}
_CONFIG = """
[endpoints.nowhere]
url = "http://127.0.0.1:9/"
format = "tencent"

[alerts.rules.junk]
metric = "quarantine"
"""


class Shown(NamedTuple):
    """A series as a scrape shows it: the values that each of its labels has; none where nothing has happened yet."""

    kind: str
    labels: dict[str, set[str]]


class Scrapes(NamedTuple):
    """The series of two gateways, one with a stream and one with an inbox: as they show them first, and once it has stored, refused, and tried to deliver in vain."""

    first: dict[str, Shown]
    later: dict[str, Shown]


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> Scrapes:
    """The series of real gateways."""
    home = tmp_path_factory.mktemp("monitoring")
    config = home / "answerback.toml"
    config.write_text(_CONFIG)
    with (
        NatsCluster(home / "nats", size=1) as stream,
        Gateway(home / "data", settings=_TRIAL, options=["--config", config, "--stream", stream.url]) as gateway,
        Gateway(home / "alone") as alone,
    ):
        recorder = _await_shown(alone, "answerback_callbacks_total")
        first = _await_shown(
            gateway, "answerback_stream_oldest_age_seconds"
        )  # once the streams were asked how they are
        gateway.post(prompt("one"))
        gateway.post(b"junk")
        later = _await_shown(gateway, "answerback_delivery_attempt_duration_seconds_bucket")
        return Scrapes(recorder | first, recorder | later)


@pytest.fixture(scope="module")
def scraped(scrapes: Scrapes) -> dict[str, Shown]:
    """The series once something has happened."""
    return scrapes.later


def _await_shown(gateway: Gateway, name: str) -> dict[str, Shown]:
    """A scrape with a value of this series."""
    deadline_s = time.monotonic() + 15
    while not (shown := _shown(gateway.get("/metrics").text)).get(name, Shown("", {})).labels:
        assert time.monotonic() < deadline_s, f"{name} is not shown"
        time.sleep(0.1)
    return shown


def _shown(text: str) -> dict[str, Shown]:
    series: dict[str, Shown] = {}
    for family in text_string_to_metric_families(text):
        if not family.samples:
            series[family.name + ("_total" if family.type == "counter" else "")] = Shown(family.type, {})
        for sample in family.samples:
            found = series.setdefault(sample.name, Shown(family.type, {}))
            for label, value in sample.labels.items():
                found.labels.setdefault(label, set()).add(value)
    return series


def test_files_are_fresh() -> None:
    """The files below deploy/ are what the tool makes now: `make docs` writes them."""
    assert [name for name, text in documents().items() if (DEPLOY / name).read_text() != text] == []


def test_every_metric_is_shown_or_left_out_on_purpose() -> None:
    """A metric that is in no panel has its reason in LEFT_OUT, and what is left out does exist."""
    assert unshown() == set()
    assert LEFT_OUT.keys() <= EXPOSED.keys()
    assert all(LEFT_OUT.values())


def test_metrics_are_those_of_a_real_gateway(scraped: dict[str, Shown]) -> None:
    """What the tool reads from the source is what the gateway shows: names, kinds and labels."""
    shown = {
        re.sub(r"_bucket$", "", name): series
        for name, series in scraped.items()
        if not (series.kind == "histogram" and name.endswith(("_sum", "_count"))) and not name.startswith(_STANDARD)
    }
    assert {name: series.kind for name, series in shown.items()} == {
        name: metric.kind for name, metric in EXPOSED.items()
    }
    for name, series in shown.items():
        if series.labels:
            assert series.labels.keys() - {"le"} == set(EXPOSED[name].labels)


def test_queries_ask_for_what_is_there(scraped: dict[str, Shown]) -> None:
    """Every query of the dashboard and the rules is PromQL, and its series, labels and their values are a real gateway's."""
    asked = [*_dashboard_queries(), *(rule["expr"] for rule in _rules())]
    assert asked
    for expr in asked:
        tree = promql.parse(expr.replace("$__rate_interval", _WINDOW))
        selectors, labels = _parts(tree)
        allowed = set(_OWN)
        for selector in selectors:
            if selector.name == "up":
                continue
            series = scraped[str(selector.name)]
            known = _labels(str(selector.name))
            allowed |= set(known)
            for matcher in selector.matchers.matchers:
                assert matcher.name in {*known, *_OWN}, expr
                if matcher.op == promql.MatchOp.Equal and matcher.name in series.labels:
                    assert matcher.value in series.labels[matcher.name], expr
        assert labels <= allowed, expr


def _labels(series: str) -> tuple[str, ...]:
    return () if series.startswith(_STANDARD) else EXPOSED[re.sub(r"_(bucket|sum|count)$", "", series)].labels


def test_a_scrape_says_what_the_processes_use(scrapes: Scrapes) -> None:
    """The version, the Python, and CPU, memory, files and start of the gateway and of its writer, apart from each other."""
    assert scrapes.later["answerback_build_info"].labels == {"version": {version("answerback")}}
    assert scrapes.later["python_info"].labels["version"] == {python_version()}
    used = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds")
    assert {f"{whose}_{what}" for whose in ("process", "answerback_writer") for what in used} <= scrapes.later.keys()


def test_what_the_rules_watch_is_there_from_the_start(scrapes: Scrapes) -> None:
    """An increase is seen only of what stood at 0 before: each series of each rule is in the first scrape."""
    for rule in _rules():
        for selector in _parts(promql.parse(rule["expr"]))[0]:
            if selector.name == "up":
                continue
            series = scrapes.first[str(selector.name)]
            for label in EXPOSED[re.sub(r"_(bucket|sum|count)$", "", str(selector.name))].labels:
                assert series.labels.get(label), (rule["alert"], label)
            for matcher in selector.matchers.matchers:
                if matcher.name in series.labels:
                    assert matcher.value in series.labels[matcher.name], rule["alert"]


def _parts(tree: promql.Expr) -> tuple[list[Any], set[str]]:
    """The selectors of a query, and the labels that it groups by."""
    selectors: list[Any] = []
    labels: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)

    promql.walk(tree, visit)
    return selectors, labels


def test_rules_say_what_to_do() -> None:
    """Every rule has a severity, words that use only labels that its query leaves, and a section of its own in the runbook."""
    for rule in _rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        _, grouped = _parts(promql.parse(rule["expr"]))
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= grouped | {"instance"}, rule["alert"]


@pytest.mark.parametrize(
    ("page", "parts"),
    [("runbook.md", ["It means", "Look at", "Do"]), ("runbook.zh-CN.md", ["含义", "看什么", "怎么办"])],
)
def test_every_alert_has_its_section(page: str, parts: list[str]) -> None:
    """In both languages: what it means, what to look at and what to do, for each rule of Prometheus and each metric of our own rules."""
    headings, *sections = re.split(r"^##+ ([A-Za-z_0-9]+)$", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)
    assert headings
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    assert list(found) == [*(rule["alert"] for rule in _rules()), *HEADINGS]
    for name, text in found.items():
        assert re.findall(r"^- \*\*(.+?)\*\*(?:: |：)\S", text, re.MULTILINE) == parts, name


def test_operations_name_every_metric() -> None:
    """And none that no gateway shows."""
    named = set(re.findall(r"answerback_[a-z0-9_]+", (ROOT / "docs/operations.md").read_text()))
    assert named == EXPOSED.keys()


def test_rules_fire_as_they_should() -> None:
    """Prometheus' own tool runs the rules over series that were made for it."""
    _promtool("test", "rules", Path(__file__).with_name("rules.test.yaml"))


def test_prometheus_takes_the_files() -> None:
    """Prometheus' own tool reads the rules, and the configuration for compose."""
    _promtool("check", "rules", DEPLOY / "prometheus/rules.yaml")
    _promtool("check", "config", DEPLOY / "prometheus/compose.yaml")


def _promtool(*arguments: str | Path) -> None:
    command = [program("promtool"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_gateway_of_compose_is_scraped() -> None:
    """Prometheus asks each service of compose.yaml that runs the gateway."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    job = yaml.safe_load((DEPLOY / "prometheus/compose.yaml").read_text())["scrape_configs"][0]
    serving = {f"{name}:8000" for name, service in services.items() if "serve" in service.get("command", ())}
    assert set(job["static_configs"][0]["targets"]) == serving
    assert len(serving) == 7


def test_every_gateway_of_kubernetes_is_scraped() -> None:
    """The labels and the port by which Prometheus finds pods are those of the manifests."""
    job = yaml.safe_load((DEPLOY / "prometheus/kubernetes.yaml").read_text())["scrape_configs"][0]
    kept = job["relabel_configs"][0]
    assert kept["regex"] == "answerback;http"
    deployments = [manifest for manifest in all_manifests() if manifest["kind"] == "Deployment"]
    assert {deployment["metadata"]["namespace"] for deployment in deployments} == set(
        job["kubernetes_sd_configs"][0]["namespaces"]["names"]
    )
    for deployment in deployments:
        pod = deployment["spec"]["template"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "answerback"
        assert pod["spec"]["containers"][0]["ports"] == [{"name": "http", "containerPort": 8000}]


def test_panels_have_places_of_their_own() -> None:
    """No two panels share an id or a place, and none is wider than the page."""
    taken: set[tuple[int, int]] = set()
    panels = _dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def _dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DEPLOY / "grafana/answerback.json").read_text())
    return document


def _dashboard_queries() -> Iterator[str]:
    for panel in _dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in _dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"].partition("(")[2].rpartition(",")[0]


def _rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"][0]["rules"]
    return rules
