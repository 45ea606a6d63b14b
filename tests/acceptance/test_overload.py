"""More than can be stored: the answer is no at once, and yes again as soon as it is true."""

import time
from contextlib import ExitStack
from pathlib import Path

from gateway import OK, Gateway, Wire, prompt, request
from receivers.process import await_true

PENDING = 8
COMMIT_TIMEOUT_S = 1.5
LOCK_TIMEOUT_S = 15.0


def test_past_the_limit_the_answer_is_503_at_once_and_the_others_keep_their_place(data_dir: Path) -> None:
    """As many as may wait do wait and are answered OK in the end; every further one is sent away without waiting."""
    settings = {
        "ANSWERBACK_INTAKE__MAX_PENDING": str(PENDING),
        "ANSWERBACK_INTAKE__COMMIT_TIMEOUT_S": "20",
        "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": str(LOCK_TIMEOUT_S),
    }
    with Gateway(data_dir, settings=settings) as gateway, ExitStack() as wires:
        waiting = [wires.enter_context(Wire(gateway)) for _ in range(PENDING)]
        with gateway.locked():
            for position, wire in enumerate(waiting):
                wire.send(request(prompt(f"waiting-{position}")))
            gateway.await_pending(PENDING)
            took_s = []
            for position in range(20):
                began_s = time.monotonic()
                answer = gateway.post(prompt(f"late-{position}"))
                took_s.append(time.monotonic() - began_s)
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/json"
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.json()["result"] == 3002
            assert min(took_s) < 0.5
            assert max(took_s) < LOCK_TIMEOUT_S / 3, "it waited, and not only for its turn on a busy machine"
            assert gateway.get("/healthz").status_code == 200
        assert all(wire.read().body == OK for wire in waiting)
        gateway.await_pending(0)
        assert gateway.post(prompt("late-0")).content == OK
        stored = {callid for (callid,) in gateway.rows("SELECT callid FROM calls")}
        assert stored == {"late-0"} | {f"waiting-{position}" for position in range(PENDING)}


def test_a_commit_that_does_not_return_is_not_waited_for(data_dir: Path) -> None:
    """Past the answer timeout the sender is told 503, readiness is lost, and both come back by themselves."""
    settings = {
        "ANSWERBACK_INTAKE__COMMIT_TIMEOUT_S": str(COMMIT_TIMEOUT_S),
        "ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": str(LOCK_TIMEOUT_S),
    }
    with Gateway(data_dir, settings=settings) as gateway:
        with gateway.locked():
            began_s = time.monotonic()
            assert gateway.post(prompt("held")).status_code == 503
            assert COMMIT_TIMEOUT_S - 0.1 < time.monotonic() - began_s < LOCK_TIMEOUT_S / 2
            assert gateway.await_ready(503)["reason"]
            began_s = time.monotonic()
            assert gateway.post(prompt("next")).status_code == 503
            assert time.monotonic() - began_s < COMMIT_TIMEOUT_S
        gateway.await_ready()
        assert gateway.post(prompt("held")).content == OK
        assert gateway.post(prompt("next")).content == OK
        assert gateway.rows("SELECT count(*) FROM callbacks") == [(2,)]
        gateway.await_pending(0)


def test_a_flood_of_junk_is_bounded_and_counted(data_dir: Path) -> None:
    """Past its room the quarantine keeps the first bodies and counts the rest; callbacks are stored as before."""
    settings = {"ANSWERBACK_QUARANTINE__MAX_BYTES": "10000", "ANSWERBACK_QUARANTINE__MAX_PER_MINUTE": "1000"}
    with Gateway(data_dir, settings=settings) as gateway:
        for number in range(30):
            answer = gateway.post(b"junk %03d " % number + b"x" * 991)
            assert (answer.status_code, answer.json()["result"]) == (400, 3003)
        assert gateway.rows("SELECT count(*), sum(size_bytes), min(id) FROM quarantine") == [(10, 10_000, 1)]
        assert gateway.post(prompt("after")).content == OK
        dropped = 'answerback_callbacks_total{disposition="dropped"} 20.0'
        await_true(lambda: dropped in gateway.get("/metrics").text)  # counted once the writer has said so
        gateway.kill()
        gateway.start()
        gateway.post(b"junk after the restart")
        assert gateway.rows("SELECT count(*) FROM quarantine") == [(10,)]


def test_junk_is_kept_at_a_bounded_rate(data_dir: Path) -> None:
    """No more refused bodies are kept in a minute than are allowed."""
    with Gateway(data_dir, settings={"ANSWERBACK_QUARANTINE__MAX_PER_MINUTE": "5"}) as gateway:
        for number in range(20):
            assert gateway.post(b"junk %d" % number).status_code == 400
        assert 5 <= gateway.rows("SELECT count(*) FROM quarantine")[0][0] <= 7
