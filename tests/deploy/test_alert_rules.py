"""The alert rules on a real Prometheus that scrapes a real gateway: each fault raises its own alerts, and no other."""

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nats
import pytest
import yaml
from deploy.files import DEPLOY, program
from ending import ending
from gateway import OK, Gateway, Wire, prompt, request
from nats_servers import NatsCluster
from ports import port_of, reserve_port

LIMIT_S = 40.0
_QUIET_EVALUATIONS = 4
"""So many evaluations after the expected alerts fire, nothing else has come."""

_AGE = re.compile(r"((?:_age_seconds|_lag_seconds)\)?) > \d+$")
_OLD_S = 3

_BY_RETRIES = {"ANSWERBACK_RELAY__RETRY_SCHEDULE_S": "[0.05]", "ANSWERBACK_RELAY__JITTER": "0"}
_NOWHERE = '[endpoints.crm]\nurl = "http://127.0.0.1:9/"\n'


class Prometheus:
    """Debian's Prometheus with our rules; what has to hold for a while, or is too old, does so after seconds here.

    A quantile tells how busy the machine is that runs the tests: its rule waits as long as it does, unless `quantiles` are tried.
    """

    def __init__(self, home: Path, target: str, *, quantiles: bool = False) -> None:
        self._home = home
        self._log = home / "prometheus.log"
        rules = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())
        (group,) = rules["groups"]
        group["interval"] = "500ms"
        for rule in group["rules"]:
            if rule["for"] != "0s" and ("histogram_quantile" not in rule["expr"] or quantiles):
                rule["for"] = "2s"
            rule["expr"] = _AGE.sub(rf"\1 > {_OLD_S}", rule["expr"])
        (home / "rules.yaml").write_text(yaml.safe_dump(rules))
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "answerback", "static_configs": [{"targets": [target]}]}],
        }
        (home / "prometheus.yaml").write_text(yaml.safe_dump(config))

    @contextmanager
    def running(self) -> Iterator["Prometheus"]:
        """Run it on a free port of this machine, and kill it at the end."""
        command = [program("prometheus"), "--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb"]
        command += ["--web.listen-address=127.0.0.1:0", "--log.level=debug", "--log.format=json"]
        with self._log.open("wb") as log:
            process = subprocess.Popen(ending(*command), cwd=self._home, stdout=log, stderr=log)
        try:
            with httpx.Client(
                base_url=self._await_url(process.pid), trust_env=False, verify=False, timeout=10
            ) as self._client:
                self._await_ready()
                yield self
        finally:
            process.kill()
            process.wait()

    def _await_url(self, pid: int) -> str:
        """Where it listens: with port 0 the log does not say, the system does."""
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            inodes = {re.sub(r"\D", "", target) for target in _open_files(pid)}
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == "0A" and inode in inodes:
                    return f"http://127.0.0.1:{int(local.rpartition(':')[2], 16)}"
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def _await_ready(self) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while self._client.get("/-/ready").status_code != 200:
            assert time.monotonic() < deadline_s, self._log.read_text()
            time.sleep(0.05)

    def await_scraped(self) -> None:
        """Wait until it has read everything three times: a rise is seen only of what it knew before."""
        deadline_s = time.monotonic() + LIMIT_S
        while not self._get("/api/v1/query?query=count_over_time(answerback_up_for_writes[1m])>=3")["result"]:
            assert time.monotonic() < deadline_s, self._log.read_text()
            time.sleep(0.1)

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _evaluated(self) -> str:
        return str(self._get("/api/v1/rules")["groups"][0]["lastEvaluation"])

    def _get(self, path: str) -> dict[str, Any]:
        data: dict[str, Any] = self._client.get(path).json()["data"]
        return data

    def await_firing(self, names: set[str]) -> None:
        """Wait until these fire, for some evaluations, and nothing else does."""
        deadline_s, seen, quiet = time.monotonic() + LIMIT_S, "", 0
        while quiet < _QUIET_EVALUATIONS:
            assert time.monotonic() < deadline_s, f"{self.firing()} fire instead of {names}"
            firing, evaluated = self.firing(), self._evaluated()
            if evaluated != seen:
                seen, quiet = evaluated, quiet + 1 if firing == names else 0
            time.sleep(0.1)


def _open_files(pid: int) -> Iterator[str]:
    """What a process has open; it may close some of it meanwhile."""
    for link in list(Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):
            yield str(link.readlink())


_clusters: dict[Path, NatsCluster] = {}
"""The servers in front of a gateway, by its home."""

Inject = Callable[[Gateway, ExitStack], None]


class Fault(NamedTuple):
    """What is wrong with a gateway, and the alerts that say so."""

    inject: Inject
    fires: set[str]
    settings: dict[str, str] = {}  # noqa: RUF012  # nobody changes it
    config: str = ""
    options: tuple[str, ...] = ()
    before: frozenset[str] = frozenset()
    """Those that fire without it, too."""
    quantiles: bool = False
    nodes: int = 0
    """So many NATS servers are in front of it."""


def lose_inbox(gateway: Gateway, _: ExitStack) -> None:
    """Somebody moves the inbox away."""
    gateway.inbox.rename(gateway.inbox.with_suffix(".away"))
    assert gateway.post(prompt("lost")).status_code == 503


def lock_ledger(gateway: Gateway, stack: ExitStack) -> None:
    """Another program holds the ledger's lock."""
    stack.enter_context(gateway.locked("ledger.db"))
    assert gateway.post(prompt("waits")).content == OK


def call(gateway: Gateway, _: ExitStack) -> None:
    """A callback comes."""
    assert gateway.post(prompt("call")).content == OK


def fill_inbox(gateway: Gateway, stack: ExitStack) -> None:
    """Much comes while the ledger is locked."""
    lock_ledger(gateway, stack)
    for number in range(14):
        document = json.loads(prompt(f"large-{number}"))
        document["voiceprompt_callback"]["more"] = "x" * 50_000
        assert gateway.post(json.dumps(document).encode()).content == OK


def send_junk(gateway: Gateway, _: ExitStack) -> None:
    """A scanner comes by."""
    for number in range(4):
        assert gateway.post(b"junk %d" % number + b"." * 3000).status_code == 400


def end(gateway: Gateway, _: ExitStack) -> None:
    """The process is killed."""
    gateway.kill()


def disable_endpoint(gateway: Gateway, _: ExitStack) -> None:
    """Somebody disables an endpoint."""
    key = {"Authorization": f"Bearer {gateway.key}"}
    assert gateway.client.post("/v1/endpoints/crm/disable", headers=key).status_code == 200


def dawdle(gateway: Gateway, stack: ExitStack) -> None:
    """Senders begin requests and do not end them."""
    for _ in range(12):
        stack.enter_context(Wire(gateway)).send(b"POST /voice/callback HTTP/1.1\r\nHost: gateway\r\n")


def damage_inbox(gateway: Gateway, _: ExitStack) -> None:
    """The disk loses a row that was not recorded yet."""
    with ExitStack() as while_locked:
        lock_ledger(gateway, while_locked)
        gateway.kill()
    with closing(sqlite3.connect(gateway.inbox, isolation_level=None)) as file:
        file.execute("UPDATE rows SET payload = x'00' WHERE key = (SELECT max(key) FROM rows)")
    gateway.start()


def meddle(gateway: Gateway, statement: str) -> None:
    """Somebody adds a trigger to the ledger."""
    with closing(sqlite3.connect(gateway.ledger, isolation_level=None)) as ledger:
        ledger.execute(f"CREATE TRIGGER no BEFORE {statement} BEGIN SELECT raise(ABORT, 'no'); END")


def refuse_a_value(gateway: Gateway, stack: ExitStack) -> None:
    """The ledger takes no call like this one."""
    meddle(gateway, "INSERT ON calls")
    call(gateway, stack)


def fail_erasures(gateway: Gateway, _: ExitStack) -> None:
    """The ledger lets no number be erased."""
    assert gateway.post(prompt("call", mobile="13788888888")).content == OK
    gateway.await_recorded()
    meddle(gateway, "UPDATE ON calls")
    key = {"Authorization": f"Bearer {gateway.key}"}
    assert gateway.client.post("/v1/erasures", json={"number": "13788888888"}, headers=key).status_code == 202


def hang_commits(gateway: Gateway, stack: ExitStack) -> None:
    """The stream's server hangs, for less long than callbacks are kept waiting; six of at most ten wait."""
    _clusters[gateway.data_dir.parent].pause(0)
    for number in range(6):
        stack.enter_context(Wire(gateway)).send(request(prompt(f"hangs-{number}")))


def slow_the_disk(gateway: Gateway, _: ExitStack) -> None:
    """A commit takes more than a second."""
    with gateway.locked("inbox.db"), Wire(gateway) as wire:
        wire.send(request(prompt("slow")))
        gateway.await_pending(1)
        time.sleep(1.2)  # this is the fault


def stop_now_and_then(gateway: Gateway, _: ExitStack) -> None:
    """The machine gives it no CPU for half a second, again and again."""
    for _number in range(6):
        gateway.send_signal(signal.SIGSTOP)
        time.sleep(0.6)  # this is the fault
        gateway.send_signal(signal.SIGCONT)
        gateway.await_ready()


def publish_junk(gateway: Gateway, _: ExitStack) -> None:
    """Another program publishes to the stream."""

    async def publish() -> None:
        client = await nats.connect(_clusters[gateway.data_dir.parent].url)
        await client.jetstream().publish("ANSWERBACK.1", b"not ours")
        await client.close()

    asyncio.run(publish())


def nothing(_gateway: Gateway, _stack: ExitStack) -> None:
    """It was so from the start."""


DEFAULT_FAULTS = {
    "the inbox is gone": Fault(lose_inbox, {"AnswerbackCannotStore", "AnswerbackAnswers503", "AnswerbackCommitsFail"}),
    "the ledger is locked": Fault(
        lock_ledger,
        {"AnswerbackRecorderStalled", "AnswerbackRecorderLag"},
        {"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2"},
    ),
    "a receiver is gone": Fault(call, {"AnswerbackDeliveriesDead"}, _BY_RETRIES, _NOWHERE),
}
"""What `make test` injects: not stored, not recorded, not delivered."""

OTHERS = {
    "the process is gone": Fault(end, {"AnswerbackDown", "AnswerbackGone"}),
    "the breaker is open": Fault(
        call,
        {"AnswerbackEndpointPaused", "AnswerbackDeliveriesLate"},
        {"ANSWERBACK_RELAY__BREAKER_THRESHOLD": "1", "ANSWERBACK_RELAY__BREAKER_COOLDOWNS_S": "[600]"},
        _NOWHERE,
    ),
    "an endpoint is off": Fault(disable_endpoint, {"AnswerbackEndpointOff"}, {}, _NOWHERE),
    "nobody relays": Fault(
        nothing,
        {"AnswerbackNoRelay"},
        options=("--roles", "intake,recorder,api,console"),
        before=frozenset({"AnswerbackNoRelay"}),
    ),
    "a scanner": Fault(send_junk, {"AnswerbackQuarantined"}),
    "a flood of junk": Fault(
        send_junk,
        {"AnswerbackQuarantined", "AnswerbackRejectionsDropped"},
        {"ANSWERBACK_QUARANTINE__MAX_PER_MINUTE": "2"},
    ),
    "the quarantine is full": Fault(
        send_junk, {"AnswerbackQuarantined", "AnswerbackQuarantineFull"}, {"ANSWERBACK_QUARANTINE__MAX_BYTES": "4000"}
    ),
    "a rule of the file": Fault(
        send_junk,
        {"AnswerbackQuarantined", "AnswerbackRuleFiring"},
        {"ANSWERBACK_ALERTS__EVALUATION_INTERVAL_S": "0.2"},
        '[alerts.rules.junk]\nmetric = "quarantine"\n',
    ),
    "slow senders": Fault(dawdle, {"AnswerbackSlowSenders"}, {"ANSWERBACK_INTAKE__REQUEST_TIMEOUT_S": "1"}),
    "a row of the inbox is damaged": Fault(damage_inbox, {"AnswerbackInboxDamaged", "AnswerbackQuarantined"}),
    "the ledger refuses a value": Fault(refuse_a_value, {"AnswerbackSetAside", "AnswerbackQuarantined"}),
    "an erasure fails": Fault(fail_erasures, {"AnswerbackErasureLate"}),
    "a receiver is late": Fault(
        call, {"AnswerbackDeliveriesLate"}, {"ANSWERBACK_RELAY__RETRY_SCHEDULE_S": "[1, 1000]"}, _NOWHERE
    ),
    "commits hang": Fault(
        hang_commits,
        {"AnswerbackBacklog", "AnswerbackStreamFailover", "AnswerbackRecorderStalled"},
        {"ANSWERBACK_INTAKE__MAX_PENDING": "10", "ANSWERBACK_INTAKE__COMMIT_TIMEOUT_S": "60"},
        nodes=1,
    ),
    "the disk is slow": Fault(slow_the_disk, {"AnswerbackCommitsSlow"}, quantiles=True),
    "there is no CPU": Fault(stop_now_and_then, {"AnswerbackLoopLate"}, quantiles=True),
    "nobody records": Fault(
        call,
        {"AnswerbackNoRecorder", "AnswerbackStreamStuck"},
        options=("--roles", "intake,relay,api,console"),
        before=frozenset(
            {"AnswerbackStreamStuck"}
        ),  # of a batch without callbacks, by which the intake tried the stream
        nodes=1,
    ),
    "the stream holds junk": Fault(publish_junk, {"AnswerbackStreamUndecodable", "AnswerbackStreamStuck"}, nodes=1),
    "the inbox fills": Fault(
        fill_inbox,
        {"AnswerbackInboxFull", "AnswerbackRecorderStalled", "AnswerbackRecorderLag"},
        {"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.2", "ANSWERBACK_INBOX__MAX_BYTES": "1048576"},
    ),
}


def test_a_fault_raises_its_alerts_and_no_other(tmp_path: Path) -> None:
    """Nothing fires before it; after it those that name it do, and go on doing so, alone."""
    with ThreadPoolExecutor() as pool:  # most of the time each only waits
        list(pool.map(_try, DEFAULT_FAULTS.values(), (tmp_path / str(number) for number in range(len(DEFAULT_FAULTS)))))


def test_every_rule_has_a_fault() -> None:
    """A new rule has to be tried."""
    (group,) = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())["groups"]
    tried = [fault.fires for fault in (*DEFAULT_FAULTS.values(), *OTHERS.values())]
    assert {rule["alert"] for rule in group["rules"]} == set().union(*tried)


@pytest.mark.soak
@pytest.mark.parametrize("name", OTHERS)
def test_every_other_fault_does_so_too(name: str, tmp_path: Path) -> None:
    """What comes less often, one by one."""
    _try(OTHERS[name], tmp_path / "home")


def _try(fault: Fault, home: Path) -> None:
    home.mkdir()
    config = home / "answerback.toml"
    config.write_text(fault.config)
    settings = {"ANSWERBACK_RELAY__BREAKER_THRESHOLD": "1000"} | fault.settings
    with ExitStack() as servers:
        if fault.nodes:
            cluster = servers.enter_context(NatsCluster(home / "nats", size=fault.nodes))
            _clusters[home] = cluster
            settings |= {"ANSWERBACK_STREAM__URL": cluster.url, "ANSWERBACK_STREAM__ALLOW_FEWER_REPLICAS": "true"}
        _try_at(fault, home, settings, config)


def _try_at(fault: Fault, home: Path, settings: dict[str, str], config: Path) -> None:
    with (
        closing(reserve_port()) as kept,  # whenever the gateway is started: Prometheus looks for it there
        Gateway(
            home / "data",
            settings=settings,
            options=["--config", config, "--port", str(port_of(kept)), *fault.options],
        ) as gateway,
        Prometheus(home, gateway.url.removeprefix("http://"), quantiles=fault.quantiles).running() as prometheus,
        ExitStack() as stack,
    ):
        prometheus.await_scraped()
        prometheus.await_firing(set(fault.before))
        fault.inject(gateway, stack)
        prometheus.await_firing(fault.fires)
