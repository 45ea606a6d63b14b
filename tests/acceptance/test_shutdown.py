"""The end of the process: who was promised an answer gets it, and nobody is kept waiting."""

import asyncio
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from crash.load import Load, check
from gateway import OK, Gateway, Wire, prompt, request, run
from receivers.process import await_true

LONGEST_S = 5.0
SOME = 200
SIGNALS = [signal.SIGTERM, signal.SIGINT]


async def _stop_under_load(gateway: Gateway, load: Load, number: signal.Signals) -> tuple[int, float]:
    sending = asyncio.create_task(load.run(gateway))
    await asyncio.to_thread(
        await_true, lambda: len(load.answered) >= SOME, lambda: f"{len(load.answered)} were answered"
    )
    began_s = time.monotonic()
    status = await asyncio.to_thread(gateway.terminate, number)
    took_s = time.monotonic() - began_s
    async with asyncio.timeout(10):
        await sending
    return status, took_s


@pytest.mark.parametrize("number", SIGNALS)
def test_under_load_all_that_was_answered_is_stored(data_dir: Path, number: signal.Signals) -> None:
    """A signal under load ends the process with status 0 within seconds, with all it answered in the ledger."""
    load = Load(connections=16)
    with Gateway(data_dir) as gateway:
        status, took_s = asyncio.run(_stop_under_load(gateway, load, number))
        assert status == 0
        assert took_s < LONGEST_S
        assert len(load.answered) >= SOME
        assert not load.refused
        check(gateway, load)


def is_refused(gateway: Gateway) -> bool:
    """Whether nobody listens any more; who comes in the very moment of the end is reset."""
    try:
        Wire(gateway).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


@pytest.mark.parametrize("number", SIGNALS)
def test_requests_in_flight_are_answered_and_new_ones_refused(data_dir: Path, number: signal.Signals) -> None:
    """Whoever has sent a request gets its answer; whoever comes after the signal is refused at the door."""
    with Gateway(data_dir, settings={"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "10"}) as gateway, ExitStack() as wires:
        waiting = [wires.enter_context(Wire(gateway)) for _ in range(10)]
        with gateway.locked():
            for position, wire in enumerate(waiting):
                wire.send(request(prompt(f"call-{position}")))
            gateway.await_pending(len(waiting))
            gateway.send_signal(number)
            await_true(lambda: is_refused(gateway))
        for wire in waiting:
            assert wire.read().body == OK
            assert wire.is_closed()
        assert gateway.wait() == 0
        assert gateway.rows("SELECT count(*) FROM callbacks") == [(10,)]


def test_all_that_was_asked_on_a_connection_is_answered(data_dir: Path) -> None:
    """Behind reads that wait, too, a callback that has come before the signal has its answer, and then the end."""
    with Gateway(data_dir) as gateway, Wire(gateway) as wire:
        read = f"GET /v1/calls HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {gateway.key}\r\n\r\n".encode()
        with gateway.locked("ledger.db"):
            assert gateway.post(prompt("unrecorded")).content == OK  # the reads wait for it
            wire.send(2 * read + request(prompt("behind")))
            wire.await_taken()
            gateway.send_signal(signal.SIGTERM)
            assert [wire.read().status for _ in range(3)] == [200, 200, 200]
            assert wire.is_closed()
        assert gateway.wait() == 0


def test_idle_connections_do_not_delay_the_end(data_dir: Path) -> None:
    """Connections kept open without a request are closed at once."""
    settings = {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "30"}
    with Gateway(data_dir, settings=settings) as gateway, ExitStack() as wires:
        idle = [wires.enter_context(Wire(gateway)) for _ in range(20)]
        for position, wire in enumerate(idle[:10]):
            wire.send(request(prompt(f"call-{position}")))
            assert wire.read().body == OK
        began_s = time.monotonic()
        assert gateway.terminate() == 0
        assert time.monotonic() - began_s < LONGEST_S
        assert all(wire.is_closed() for wire in idle)


def test_a_sender_that_has_just_connected_is_answered(data_dir: Path) -> None:
    """A request that is on its way when the end comes is answered, on a connection that is then closed."""
    with Gateway(data_dir) as gateway, Wire(gateway) as wire:
        gateway.send_signal(signal.SIGTERM)
        await_true(lambda: is_refused(gateway))
        wire.send(request(prompt("late")))
        assert wire.read().body == OK
        assert wire.is_closed()
        assert gateway.wait() == 0


def test_a_half_sent_request_does_not_delay_the_end_for_long(data_dir: Path) -> None:
    """A sender that stalls is not waited for beyond the drain time, and leaves nothing."""
    settings = {"ANSWERBACK_INTAKE__SHUTDOWN_TIMEOUT_S": "1"}
    with Gateway(data_dir, settings=settings) as gateway, Wire(gateway) as body, Wire(gateway) as head:
        body.send(request(prompt("half"))[:-10])
        head.send(b"POST /voice/callback HTTP/1.1\r\n")
        body.await_taken()
        head.await_taken()
        began_s = time.monotonic()
        assert gateway.terminate() == 0
        assert 0.8 < time.monotonic() - began_s < LONGEST_S
        assert gateway.rows("SELECT (SELECT count(*) FROM callbacks), (SELECT count(*) FROM quarantine)") == [(0, 0)]


def test_a_commit_that_cannot_be_made_does_not_hold_the_end_up(data_dir: Path) -> None:
    """With the ledger held by another process, the waiting senders are told 503 and the process ends."""
    with Gateway(data_dir) as gateway, Wire(gateway) as wire, gateway.locked():
        wire.send(request(prompt("held")))
        gateway.await_pending(1)
        began_s = time.monotonic()
        assert gateway.terminate() == 0
        assert time.monotonic() - began_s < LONGEST_S
        assert wire.read().status == 503


def test_what_is_left_is_recorded_while_there_is_time(data_dir: Path) -> None:
    """A ledger that is back within the shutdown time has it all; else the log says how much is left for the next start."""
    with Gateway(data_dir, settings={"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "15"}) as gateway:
        with gateway.locked("ledger.db"):
            for number in range(5):
                assert gateway.post(prompt(f"call-{number}")).content == OK
            gateway.send_signal(signal.SIGTERM)
            await_true(lambda: is_refused(gateway))
        assert gateway.wait() == 0
        assert "rows_left" not in gateway.stderr
    with Gateway(data_dir, settings={"ANSWERBACK_LEDGER__LOCK_TIMEOUT_S": "0.5"}) as gateway:
        with gateway.locked("ledger.db"):
            for number in range(5, 8):
                assert gateway.post(prompt(f"call-{number}")).content == OK
            await_true(lambda: gateway.get("/v1/status").json()["inbox"]["failure"])
            began_s = time.monotonic()
            assert gateway.terminate() == 0
            assert time.monotonic() - began_s < LONGEST_S
        assert "rows_left" in gateway.stderr
        assert "callbacks=3 rows=3" in gateway.stderr
        status = run("status", "--data-dir", data_dir, cwd=data_dir.parent).stdout
        assert re.search("3 callbacks wait in the inbox, the oldest for .* s: the database is locked, since", status)
        gateway.start()
        assert gateway.rows("SELECT count(*), max(duplicates) FROM callbacks") == [(8, 0)]


def test_a_stop_at_any_moment_of_the_start(data_dir: Path) -> None:
    """The process ends at once and without a complaint, whatever it was loading."""
    with Gateway(data_dir) as gateway:
        start_s = gateway.first_answer_s
        assert gateway.terminate() == 0
        for part in (0.4, 0.7, 0.8, 0.9, 1.0):
            gateway.spawn()
            time.sleep(part * start_s)  # a moment of the start, known by its time alone
            assert gateway.terminate() in {0, -signal.SIGTERM}
            assert "Traceback" not in gateway.stderr


def test_a_client_of_the_library_sees_no_broken_answer(data_dir: Path) -> None:
    """Ordinary clients that post while the process stops get OK or a refused connection, nothing between."""
    with Gateway(data_dir) as gateway:

        def post(number: int) -> bool:
            try:
                with Wire(gateway) as wire:
                    wire.send(request(prompt(f"call-{number}"), b"Connection: close"))
                    return wire.read().body == OK
            except ConnectionError:
                return False

        with ThreadPoolExecutor(8) as pool:
            posts = [pool.submit(post, number) for number in range(400)]
            posts[20].result()
            assert gateway.terminate() == 0
            answered = sum(future.result() for future in posts)
        assert gateway.rows("SELECT count(*) FROM callbacks")[0][0] >= answered > 0
