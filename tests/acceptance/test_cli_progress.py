"""Long work shows its progress, on a terminal and nowhere else."""

import os
import pty
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

from builders import received, status
from forking import launch
from gateway import environment, run

from answerback.ledger import open_sqlite


def on_a_terminal(*arguments: str | Path, cwd: Path) -> str:
    """What the command writes to standard error where that is a terminal."""
    ours, its = pty.openpty()
    with os.fdopen(its, "wb") as terminal, TemporaryFile() as nowhere:
        settings = environment({"TERM": "xterm"})
        process = launch(arguments, cwd=cwd, env=settings, stdout=nowhere, stderr=terminal, executed=True)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # the terminal's way to say that nobody writes to it any more
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0, written
    return written.decode()


def test_an_export_and_an_import_show_how_far_they_are(tmp_path: Path) -> None:
    """A bar to its end, in per cent; without a terminal only what came of it."""
    with closing(open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True)) as ledger:
        ledger.record([received(status(callid=f"call-{n}")) for n in range(20)])
    exported = ("export", "callbacks", "--format", "ndjson", "--output", "callbacks.ndjson")
    where = ("--data-dir", tmp_path / "data")
    assert "100%" in on_a_terminal(*exported, *where, cwd=tmp_path)
    assert "100%" in on_a_terminal("import", "callbacks.ndjson", "--dry-run", *where, cwd=tmp_path)
    quiet = run(*exported, *where, cwd=tmp_path)
    assert quiet.returncode == 0, quiet.stderr
    assert "20 callbacks in" in quiet.stderr
    assert "%" not in quiet.stdout + quiet.stderr


def test_a_backup_and_a_restore_show_what_they_do(tmp_path: Path) -> None:
    """Each step by name; without a terminal only what came of it."""
    open_sqlite(tmp_path / "data", allow_unsafe_filesystem=True).close()
    shown = on_a_terminal("backup", "made", "--data-dir", "data", cwd=tmp_path)
    assert "check ledger.db" in shown
    assert "100%" in shown
    assert "restore ledger.db" in on_a_terminal("restore", "made", "--data-dir", "again", cwd=tmp_path)
    quiet = run("backup", "once-more", "--data-dir", "again", cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "verified" in quiet.stdout
