"""The disk fails: what the inbox cannot store is answered 503, what the ledger cannot take is answered and recorded later.

The gateway mends itself once the disk does. Some faults need the rights of root: those tests say so where they are skipped.
"""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from builders import received
from gateway import OK, Gateway, prompt, run
from receivers.process import await_true
from small_disk import Disks, fails, fill, needs_root

from answerback import parse
from answerback.config import Settings
from answerback.ledger import Ledger, open_sqlite

WAL_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
QUICKLY_S = 10.0
PROBE_EVERY_S = 1.0
"""So often a ledger that failed is tried."""

LOCK_TIMEOUT_S = Settings.model_fields["ledger"].default.lock_timeout_s
TEN = {f"call-{number}" for number in range(10)}


def refused(answer: httpx.Response) -> None:
    """Check that `answer` is a truthful no."""
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"] == 3002
    assert int(answer.headers["retry-after"]) >= 1


def stored(gateway: Gateway) -> set[str]:
    """The callids of the calls that have a callback."""
    return {callid for (callid,) in gateway.rows("SELECT callid FROM calls JOIN callbacks ON call_id = calls.id")}


@contextmanager
def opened(gateway: Gateway) -> Iterator[Ledger]:
    """The ledger of a gateway that does not run, as its writer opens it."""
    with closing(open_sqlite(gateway.data_dir, allow_unsafe_filesystem=True)) as ledger:
        yield ledger


def check_found(gateway: Gateway, callids: set[str]) -> None:
    """Check that the ledger has these calls, is sound, and takes what is sent again."""
    with opened(gateway) as ledger:
        assert stored(gateway) == callids
        assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
        ledger.record([received(parse(prompt(callid))) for callid in sorted(TEN)])
    assert stored(gateway) == TEN
    assert gateway.rows("SELECT count(*) FROM callbacks") == [(10,)]


def check_behind(gateway: Gateway, reason: str, bodies: Mapping[str, bytes] | None = None) -> list[str]:
    """Check that callbacks are answered while the ledger takes none, and that this is to be seen; whose they are."""
    bodies = bodies or {f"behind-{uuid.uuid1()}": b"" for _ in range(10)}
    for callid, padding in bodies.items():
        assert gateway.post(prompt(callid) + padding).content == OK
    await_true(lambda: not is_recording(gateway), lambda: f"it records: {gateway.stderr}", QUICKLY_S)
    assert gateway.post(b"junk").status_code == 400
    assert gateway.get("/readyz").status_code == 200
    assert gateway.get("/healthz").status_code == 200
    assert any(reason in line for line in gateway.stderr.splitlines() if "recorder_stalled" in line), gateway.stderr
    return [*bodies]


def is_recording(gateway: Gateway) -> bool:
    """Whether the recorder says that the ledger takes what it has."""
    return "\nanswerback_recorder_up 1.0\n" in gateway.client.get("/metrics").text


def check_mended(gateway: Gateway, answered: list[str]) -> None:
    """Check that readiness comes back by itself, callbacks are taken again, and none that was answered is lost."""
    gateway.await_ready(timeout_s=QUICKLY_S)
    assert gateway.post(prompt("after the fault")).content == OK
    assert gateway.process.poll() is None
    assert stored(gateway) >= {*answered, "after the fault"}
    assert gateway.rows("PRAGMA integrity_check") == [("ok",)]


@contextmanager
def written_at_most(pids: Sequence[int], size_bytes: int) -> Iterator[None]:
    """No file of the processes may grow past `size_bytes`."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """Let nobody write to `paths`, not even root through a file that is open already."""
    needs_root("make a file immutable")
    if fails("chattr", "+i", *paths):
        pytest.skip("SKIPPED FAULT: this file system has no immutable files")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *paths], check=True)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def lasting_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has to mend itself again and again."""
    with Gateway(tmp_path_factory.mktemp("lasting") / "data") as gateway:
        yield gateway


@pytest.fixture
def gateway(lasting_gateway: Gateway) -> Gateway:
    """The same, ready, and with a callback stored."""
    if not lasting_gateway.up:
        lasting_gateway.start()
    lasting_gateway.await_ready()
    assert lasting_gateway.post(prompt("before")).content == OK
    return lasting_gateway


@pytest.fixture(scope="module")
def killed_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a gateway leaves that was killed after ten callbacks, each committed by itself: all of them are in the log."""
    with Gateway(tmp_path_factory.mktemp("killed") / "data") as gateway:
        for number in range(10):
            assert gateway.post(prompt(f"call-{number}")).content == OK
            gateway.await_recorded()
    _cut_after(gateway.ledger.with_name("ledger.db-wal"), b"call-9")
    return gateway.data_dir


def _cut_after(wal: Path, content: bytes) -> None:
    """End a log with the commit that wrote `content` last: a heartbeat may have come between that and the kill."""
    log = wal.read_bytes()
    frame_bytes = FRAME_HEADER_BYTES + int.from_bytes(log[8:12], "big")
    frames = [log[at : at + frame_bytes] for at in range(WAL_HEADER_BYTES, len(log), frame_bytes)]
    last = max(number for number, frame in enumerate(frames) if content in frame)
    end = next(
        number for number in range(last, len(frames)) if any(frames[number][4:8])
    )  # the size of a whole database
    os.truncate(wal, WAL_HEADER_BYTES + (end + 1) * frame_bytes)


@pytest.fixture
def killed(killed_dir: Path, tmp_path: Path) -> Gateway:
    """A gateway on a copy of that, not started."""
    return Gateway(Path(shutil.copytree(killed_dir, tmp_path / "data")))


# The inbox, while it runs.


def test_a_file_that_may_not_grow(gateway: Gateway) -> None:
    """Writes that fail (EFBIG) are answered 503, readiness is lost with the reason, and both come back."""
    answered = [f"grown-{number}" for number in range(10)]
    for callid in answered:
        assert gateway.post(prompt(callid)).content == OK
    gateway.await_recorded()
    with written_at_most([gateway.process.pid], 4096):
        for number in range(5):
            refused(gateway.post(prompt(f"too-much-{number}")))
            refused(gateway.post(b"junk %d" % number))
        assert gateway.await_ready(503)["reason"]
        assert gateway.get("/healthz").status_code == 200
        assert gateway.call("grown-0")["outcome"] == "answered"
        time.sleep(PROBE_EVERY_S + 0.5)  # it is tried again, in vain
        assert gateway.get("/readyz").status_code == 503
    check_mended(gateway, answered)
    assert gateway.rows("SELECT count(*) FROM quarantine WHERE raw != ?", b"junk") == [(0,)]
    assert gateway.post(prompt("too-much-0")).content == OK
    gateway.kill()
    gateway.start()
    kept = stored(gateway)
    assert kept >= {*answered, "too-much-0"}
    assert not kept & {f"too-much-{number}" for number in range(1, 5)}


def test_a_fault_in_the_middle_of_a_growing_log(gateway: Gateway) -> None:
    """A write-ahead log that fails to grow half-way through a commit keeps what was committed before, whole."""
    with closing(sqlite3.connect(gateway.inbox, timeout=10)) as other:  # the gateway may be at a checkpoint of its own
        await_true(lambda: other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    answered = [f"logged-{number}" for number in range(20)]
    for callid in answered:
        assert gateway.post(prompt(callid)).content == OK
    size_bytes = gateway.inbox.with_name("inbox.db-wal").stat().st_size
    refusals = 0
    with written_at_most([gateway.process.pid], size_bytes + 6000):
        for number in range(20):
            answer = gateway.post(prompt(f"half-{number}").ljust(30_000))
            if answer.status_code == 200:
                answered.append(f"half-{number}")
            else:
                refused(answer)
                refusals += 1
    assert refusals
    check_mended(gateway, answered)


def test_a_lock_held_by_another_process(gateway: Gateway) -> None:
    """While another process holds the inbox callbacks are answered 503 after the lock timeout, then stored again."""
    with gateway.locked():
        began_s = time.monotonic()
        answer = gateway.post(prompt("locked out"))
        refused(answer)
        assert "locked" in answer.json()["errmsg"]  # and not that the disk does not answer
        assert time.monotonic() - began_s > LOCK_TIMEOUT_S - 0.1
        assert "locked" in gateway.await_ready(503)["reason"]
        assert gateway.call("before")["outcome"] == "answered"
    check_mended(gateway, ["before"])


def test_a_short_lock_is_waited_for(gateway: Gateway) -> None:
    """A lock that is gone within the timeout is not the sender's business."""
    with ThreadPoolExecutor(1) as pool:
        with gateway.locked():
            posted = pool.submit(gateway.post, prompt("patient"))
            with pytest.raises(TimeoutError):
                posted.result(LOCK_TIMEOUT_S / 5)
        assert posted.result().content == OK


def test_an_inbox_that_became_read_only(gateway: Gateway) -> None:
    """An inbox that nobody may write any more is answered 503 with the reason, and taken up again later."""
    with immutable(gateway.inbox, gateway.inbox.with_name("inbox.db-wal")):
        refused(gateway.post(prompt("read only")))
        assert gateway.await_ready(503)["reason"]
        time.sleep(PROBE_EVERY_S + 0.5)  # it is tried again, in vain
        assert gateway.get("/readyz").status_code == 503
        refused(gateway.post(prompt("read only")))
    check_mended(gateway, ["before"])


def test_an_inbox_that_is_full(data_dir: Path) -> None:
    """With all the room taken by what waits, callbacks are answered 503 with the reason, small ones as well, until some is recorded."""
    with Gateway(data_dir, settings={"ANSWERBACK_INBOX__MAX_BYTES": "1048576"}) as gateway:
        with gateway.locked("ledger.db"):
            answered = _post_until_refused(gateway, "waiting")
            assert len(answered) > 20
            assert gateway.post(prompt("small")).json()["errmsg"].endswith("the inbox is full")
            assert gateway.await_ready(503)["reason"] == "the inbox is full"
            assert sum(file.stat().st_size for file in data_dir.glob("inbox.db*")) < 1.25 * 1048576
        check_mended(gateway, answered)


MOVED = "the database's file was moved or replaced"


def test_an_inbox_that_is_moved(gateway: Gateway) -> None:
    """Refused in listed words and red though nobody calls; put back, it goes on by itself."""
    aside = gateway.data_dir.with_name("aside.db")
    gateway.inbox.rename(aside)
    try:
        assert gateway.await_ready(503)["reason"] == MOVED
        answer = gateway.post(prompt("moved away"))
        refused(answer)
        assert answer.json()["errmsg"] == f"not known to be stored, try again: {MOVED}"
        shutil.copy(aside, gateway.inbox)
        refused(gateway.post(prompt("moved away")))
        assert gateway.await_ready(503)["reason"] == MOVED
        assert str(aside.parent) not in gateway.get("/readyz").text
    finally:
        aside.rename(gateway.inbox)
    check_mended(gateway, ["before"])


def test_an_inbox_of_another_gateway(gateway: Gateway) -> None:
    """A second gateway on the same directory ends with one line that says what it needs, and the first one does not mind."""
    done = run("serve", "--port", "0", "--data-dir", gateway.data_dir, cwd=gateway.data_dir.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "another gateway uses the inbox there: stop it, or choose another inbox.dir" in done.stderr
    settings = {"ANSWERBACK_INBOX__DIR": str(gateway.data_dir.with_name("second"))}
    with Gateway(gateway.data_dir, settings=settings) as second:
        assert second.post(prompt("by the second")).content == OK
        second.await_recorded()
    check_mended(gateway, ["before", "by the second"])


# The ledger, while it runs.


@contextmanager
def locked_ledger(gateway: Gateway) -> Iterator[str]:
    """Another process holds it."""
    with gateway.locked("ledger.db"):
        yield "the database is locked"


@contextmanager
def stunted_ledger(gateway: Gateway) -> Iterator[str]:
    """It may not grow."""
    with written_at_most(gateway.helpers, 4096):
        yield "the disk is failing"


@contextmanager
def read_only_ledger(gateway: Gateway) -> Iterator[str]:
    """Nobody may write it."""
    with immutable(gateway.ledger, gateway.ledger.with_name("ledger.db-wal")):
        yield "the disk is failing"


@contextmanager
def moved_ledger(gateway: Gateway) -> Iterator[str]:
    """It is elsewhere, and later a copy is in its place; the writer starts again meanwhile."""
    aside = gateway.data_dir.with_name("aside.db")
    gateway.ledger.rename(aside)
    try:
        yield MOVED
        read = gateway.get("/v1/calls")
        assert (read.status_code, read.json()) == (503, {"detail": MOVED})
        shutil.copy(aside, gateway.ledger)
        for helper in gateway.helpers:
            os.kill(helper, signal.SIGKILL)
        check_behind(gateway, MOVED)
    finally:
        aside.rename(gateway.ledger)


@pytest.mark.parametrize("fault", [locked_ledger, stunted_ledger, read_only_ledger, moved_ledger])
def test_a_ledger_that_takes_nothing(gateway: Gateway, fault: Callable[[Gateway], AbstractContextManager[str]]) -> None:
    """Callbacks are answered, and recorded when it is back; meanwhile readers are told how far behind it is."""
    gateway.await_recorded()
    with fault(gateway) as reason:
        answered = check_behind(gateway, reason)
        if fault is not moved_ledger:
            read = gateway.get("/v1/calls/before")
            assert read.status_code == 200
            assert float(read.headers["answerback-recorder-lag"]) > 0
    check_mended(gateway, ["before", *answered])
    assert gateway.rows(f"SELECT max(duplicates) FROM callbacks WHERE id IN ({OF_CALLS})", "behind-%") == [(0,)]
    await_true(
        lambda: "answerback-recorder-lag" not in gateway.get("/v1/calls/before").headers
    )  # it hears of the commit


OF_CALLS = "SELECT callbacks.id FROM callbacks JOIN calls ON calls.id = call_id WHERE callid LIKE ?"


def test_a_helper_process_is_killed(gateway: Gateway) -> None:
    """Where the ledger's writer is killed alone, callbacks are answered as before and recorded by the next one."""
    helpers = gateway.helpers
    assert helpers, "the ledger's writer is a process of its own"
    for helper in helpers:
        os.kill(helper, signal.SIGKILL)
    assert gateway.post(prompt("without a helper")).content == OK
    check_mended(gateway, ["before", "without a helper"])


# Both.


def test_full_disks(small_disks: Disks, data_dir: Path) -> None:
    """A full disk of the ledger costs time, one of the inbox is answered 503 until there is room; a kill costs nothing."""
    settings = {
        "ANSWERBACK_INBOX__DIR": str(small_disks.first / "inbox"),
        "ANSWERBACK_INBOX__MAX_BYTES": "10000000",
        "ANSWERBACK_INBOX__RESERVE_BYTES": "0",
    }
    data_dir.symlink_to(small_disks.second)  # what the gateway logs is elsewhere
    with Gateway(data_dir, settings=settings) as gateway:
        assert gateway.post(prompt("before")).content == OK
        gateway.await_recorded()
        fillers = [fill(small_disks.second)]
        bodies = {f"behind-{number}": bytes(20_000).replace(b"\0", b" ") for number in range(200)}
        answered = ["before", *check_behind(gateway, "the disk is full", bodies)]
        assert gateway.call("before")["outcome"] == "answered"
        fillers.append(fill(small_disks.first))
        answered += _post_until_refused(gateway, "during")
        await_true(lambda: _is_red_when_refused(gateway))
        fillers.pop().unlink()
        gateway.await_ready(timeout_s=QUICKLY_S)
        answered += check_behind(gateway, "the disk is full")
        fillers.pop().unlink()
        check_mended(gateway, answered)
        fillers = [fill(small_disks.second), fill(small_disks.first)]
        answered += _post_until_refused(gateway, "again")
        gateway.kill()
        for filler in fillers:
            filler.unlink()
        gateway.start()
        assert stored(gateway) >= {*answered, "after the fault"}
        assert gateway.rows("PRAGMA integrity_check") == [("ok",)]
        assert gateway.post(prompt("after")).content == OK


def _is_red_when_refused(gateway: Gateway) -> bool:
    """Whether a refusal costs readiness; the next probe may find room again, for it is small."""
    answer = gateway.post(prompt("one more").ljust(20_000))
    return (answer.status_code, gateway.get("/readyz").status_code) == (503, 503)


def _post_until_refused(gateway: Gateway, name: str) -> list[str]:
    """Post until three were refused; those that were not."""
    answered, refusals = [], 0
    for number in range(400):
        answer = gateway.post(prompt(f"{name}-{number}").ljust(20_000))
        if answer.status_code == 200:
            answered.append(f"{name}-{number}")
            continue
        refused(answer)
        refusals += 1
        if refusals == 3:
            return answered
    raise AssertionError("the disk is not full")


def test_a_start_on_a_full_disk(small_disk: Path, data_dir: Path) -> None:
    """With no byte left it ends with one line; with few it answers as far as there is room, and goes on when there is more."""
    data_dir.symlink_to(small_disk)
    settings = {"ANSWERBACK_INBOX__RESERVE_BYTES": "0"}
    with Gateway(data_dir, settings=settings) as gateway:
        assert gateway.post(prompt("before")).content == OK
        gateway.await_recorded()
        assert gateway.terminate() == 0
        filler = fill(small_disk)
        done = run("serve", "--port", "0", "--data-dir", data_dir, cwd=data_dir.parent, settings=settings)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        os.truncate(filler, filler.stat().st_size - 2_000_000)
        gateway.start()
        answered = _post_until_refused(gateway, "full")
        assert answered
        filler.unlink()
        check_mended(gateway, ["before", *answered])


FAILING_FSYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int sync_or_fail(const char *name, int file) {
    const char *places = getenv("FSYNC_FAILS_FOR");
    char link[64], path[4096], flag[8192];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (places && length > 0) {
        path[length] = 0;
        snprintf(flag, sizeof flag, "%s%s", places, strrchr(path, '/'));
        if (access(flag, F_OK) == 0) { errno = EIO; return -1; }
    }
    return ((int (*)(int)) dlsym(RTLD_NEXT, name))(file);
}
int fsync(int file) { return sync_or_fail("fsync", file); }
int fdatasync(int file) { return sync_or_fail("fdatasync", file); }
"""
"""A library that stands in front of the system's: a disk that reports an error for a file while one of its name is there."""


def test_a_disk_that_fails_to_sync(tmp_path: Path, data_dir: Path) -> None:
    """What could not be synced is answered 503, until a sync succeeds; the process lives and keeps what it answered.

    The ledger's commits are as durable as its checkpoints: a sync that fails there stops the recorder.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("SKIPPED FAULT: no C compiler to make a library whose fsync fails")
    library, failing = tmp_path / "failing_fsync.so", tmp_path / "fsync-fails"
    (tmp_path / "failing_fsync.c").write_text(FAILING_FSYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "failing_fsync.c", "-ldl"], check=True)
    failing.mkdir()
    with Gateway(data_dir, settings={"LD_PRELOAD": str(library), "FSYNC_FAILS_FOR": str(failing)}) as gateway:
        assert gateway.post(prompt("before")).content == OK
        (failing / "inbox.db-wal").touch()
        refused(gateway.post(prompt("during")))
        assert "the disk is failing" in gateway.await_ready(503)["reason"]
        refused(gateway.post(prompt("still during")))
        (failing / "inbox.db-wal").rename(failing / "ledger.db-wal")
        gateway.await_ready(timeout_s=QUICKLY_S)
        answered = check_behind(gateway, "the disk is failing")
        (failing / "ledger.db-wal").unlink()
        check_mended(gateway, ["before", *answered])


# At the start.


def test_a_used_directory_without_its_ledger(killed: Gateway) -> None:
    """Commands are refused with what to do, callbacks answered; --new-ledger begins a new one, with what the inbox has."""
    key = killed.key
    for file in killed.data_dir.glob("ledger.db*"):
        file.unlink()
    todo = "put it back, from a backup if need be, or begin a new one with `answerback serve --new-ledger`"
    for command in (["migrate"], ["import", "/dev/null"]):
        ended = run(*command, "--data-dir", killed.data_dir, cwd=killed.data_dir.parent)
        assert ended.returncode == 1
        assert todo in " ".join(ended.stderr.split())
    with killed.start():
        assert todo in killed.reported["ledger_failure"]
        assert killed.post(prompt("without a ledger")).content == OK
        assert killed.get("/readyz").status_code == 200
        assert killed.get("/v1/calls").status_code == 503
        assert killed.terminate() == 0
        assert "rows_left" in killed.stderr
    assert not killed.ledger.exists()
    with Gateway(killed.data_dir, options=["--new-ledger"]) as gateway:
        assert gateway.key == key
        assert stored(gateway) == TEN | {"without a ledger"}


@pytest.mark.parametrize("name", ["ledger.db", "inbox.db"])
def test_a_copy_from_before(killed: Gateway, tmp_path: Path, name: str) -> None:
    """An older ledger is recorded again from what the inbox keeps, an older inbox is not: each callback is there once."""
    copies = [Path(shutil.copy(file, tmp_path)) for file in killed.data_dir.glob(f"{name}*")]
    with killed.start():
        for number in range(3):
            assert killed.post(prompt(f"later-{number}")).content == OK
        killed.await_recorded()
    for file in killed.data_dir.glob(f"{name}*"):
        file.unlink()
    for copy in copies:
        shutil.copy(copy, killed.data_dir)
    with killed.start():
        assert killed.post(prompt("last")).content == OK
        assert stored(killed) == TEN | {"later-0", "later-1", "later-2", "last"}
        assert killed.rows("SELECT max(duplicates) FROM callbacks") == [(0,)]
        assert killed.rows("SELECT count(*) FROM quarantine") == [(0,)]
        assert "recorder_conflict" not in killed.stderr


@pytest.mark.parametrize("what", ["is empty", "is not there"])
def test_a_log_without_its_ledger_is_kept(killed: Gateway, what: str) -> None:
    """SQLite would throw it away: no command opens it, a gateway waits until it is back, and nothing is lost."""
    data_dir = killed.data_dir
    aside = killed.ledger.rename(data_dir.with_name("aside.db"))
    if what == "is empty":
        killed.ledger.touch()
    with Gateway(data_dir, options=["--new-ledger"]) as waiting:
        assert what in waiting.reported["ledger_failure"]
    for command in (["calls", "list"], ["migrate"]):
        ended = run(*command, "--data-dir", data_dir, cwd=data_dir.parent)
        assert ended.returncode == 1
        assert what in ended.stderr or "there is no ledger" in ended.stderr
    copied = run("copy", "--from", f"sqlite:{data_dir}", "--to", "sqlite:copy", cwd=data_dir.parent)
    assert copied.returncode == 1
    aside.rename(killed.ledger)
    check_found(killed, TEN)


# At the start.


@pytest.mark.parametrize("damage", ["cut", "cut to the header", "zeros", "noise", "one bit"])
def test_a_torn_last_commit(killed: Gateway, damage: str) -> None:
    """A log whose last frame is damaged gives up that commit alone.

    Each callback was committed by itself. A disk that breaks its word about the last one's last frame costs that
    one: all others are there, the file is sound, and the last is taken when its sender repeats it.
    """
    _damage_last_frame(killed.ledger.with_name("ledger.db-wal"), damage)
    check_found(killed, TEN - {"call-9"})


def _damage_last_frame(wal: Path, damage: str) -> None:
    content = wal.read_bytes()
    page_bytes = int.from_bytes(content[8:12], "big")
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    assert (len(content) - WAL_HEADER_BYTES) % frame_bytes == 0
    kept, frame = content[:-frame_bytes], content[-frame_bytes:]
    torn = {
        "cut": frame[:-100],
        "cut to the header": frame[:FRAME_HEADER_BYTES],
        "zeros": frame[:FRAME_HEADER_BYTES] + bytes(page_bytes),
        "noise": frame[:1000] + os.urandom(512) + frame[1512:],
        "one bit": frame[:2000] + bytes([frame[2000] ^ 1]) + frame[2001:],
    }[damage]
    wal.write_bytes(kept + torn)


def test_a_gateway_starts_on_a_torn_log(killed: Gateway) -> None:
    """It records again, from the inbox, what the torn commit held."""
    _damage_last_frame(killed.ledger.with_name("ledger.db-wal"), "cut")
    with killed.start():
        killed.await_recorded()  # the inbox had it as recorded: no read waits for it
        assert {item["callid"] for item in killed.items("/v1/calls")} == TEN


@pytest.mark.parametrize("tail", [bytes(5000), b"\xff" * 4120, b"x"], ids=["zeros", "ones", "a byte"])
def test_an_unfinished_commit_after_the_last(killed: Gateway, tail: bytes) -> None:
    """What a kill leaves of a commit that was not answered costs nothing: every answered callback is there."""
    with killed.ledger.with_name("ledger.db-wal").open("ab") as wal:
        wal.write(tail)
    check_found(killed, TEN)


@pytest.mark.parametrize("memory", [None, os.urandom(32_768)], ids=["lost", "noise"])
def test_a_lost_shared_memory_file_costs_nothing(killed: Gateway, memory: bytes | None) -> None:
    """The -shm file holds nothing of its own: without it, or with noise in it, everything is there."""
    file = killed.ledger.with_name("ledger.db-shm")
    file.unlink()
    if memory is not None:
        file.write_bytes(memory)
    check_found(killed, TEN)


def test_a_directory_in_memory_is_refused(tmp_path: Path) -> None:
    """A ledger on tmpfs is refused at the start with the reason and the way out; told to, it is accepted."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("SKIPPED FAULT: no /dev/shm on this system")
    place = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        settings = {"ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM": ""}
        done = run("serve", "--port", "0", "--data-dir", place / "data", cwd=tmp_path, settings=settings)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        for word in ("tmpfs", "server.data_dir", "ledger.allow_unsafe_filesystem"):
            assert word in done.stderr
        with Gateway(place / "data") as trial:
            assert trial.post(prompt("trial")).content == OK
    finally:
        shutil.rmtree(place)


def test_a_preloaded_eatmydata_is_refused(tmp_path: Path) -> None:
    """A library that makes fsync do nothing is refused at the start by name.

    It need not be installed: ld.so warns on standard error that it is not there, and goes on.
    """
    settings = {"ANSWERBACK_LEDGER__ALLOW_UNSAFE_FILESYSTEM": "", "LD_PRELOAD": "libeatmydata.so"}
    done = run("serve", "--port", "0", "--data-dir", "data", cwd=tmp_path, settings=settings)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("answerback: ")]
    assert "libeatmydata" in line


def test_a_directory_that_cannot_be_written_is_refused(data_dir: Path) -> None:
    """A directory where no file can be made ends the start with one line that names it."""
    data_dir.mkdir()
    with immutable(data_dir):
        done = run("serve", "--port", "0", "--data-dir", data_dir, cwd=data_dir.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert str(data_dir) in done.stderr


def test_a_damaged_ledger_is_left_untouched(killed: Gateway) -> None:
    """A file whose first page is noise stays as it is, while callbacks are answered; with the file back, they are recorded."""
    with closing(sqlite3.connect(killed.ledger)) as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = killed.ledger.read_bytes()
    damaged = os.urandom(4096) + sound[4096:]
    killed.ledger.write_bytes(damaged)
    with killed.start():
        assert "damaged" in killed.reported["ledger_failure"]
        assert killed.post(prompt("with a damaged ledger")).content == OK
        assert killed.ledger.read_bytes() == damaged
        killed.ledger.write_bytes(sound)
        assert stored(killed) == TEN | {"with a damaged ledger"}


def test_a_ledger_that_is_locked_at_the_start(killed: Gateway) -> None:
    """A gateway answers before it can open its ledger, and has recorded it when it can."""
    with killed.locked("ledger.db"):
        killed.start()
        assert killed.post(prompt("early")).content == OK
    with killed:
        await_true(lambda: is_recording(killed), lambda: killed.stderr, QUICKLY_S)
        assert stored(killed) == TEN | {"early"}
