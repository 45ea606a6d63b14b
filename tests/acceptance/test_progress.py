"""Long work shows its progress, on a terminal and nowhere else."""

import os
import pty
import subprocess
from pathlib import Path

from gateway import COMMAND, OK, Gateway, environment, prompt


def on_a_terminal(*arguments: str | Path, cwd: Path) -> str:
    """What the command writes to standard error where that is a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment({"TERM": "xterm"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=its,
    )
    os.close(its)
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
    with Gateway(tmp_path / "data") as gateway:
        for n in range(20):
            assert gateway.post(prompt(f"call-{n}")).content == OK
        exported = ("export", "callbacks", "--format", "ndjson", "--output", "callbacks.ndjson")
        where = ("--data-dir", gateway.data_dir)
        assert "100%" in on_a_terminal(*exported, *where, cwd=tmp_path)
        assert "100%" in on_a_terminal("import", "callbacks.ndjson", "--dry-run", *where, cwd=tmp_path)
        quiet = subprocess.run(
            [COMMAND, *exported, *where], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
        )
        assert "%" not in quiet.stdout + quiet.stderr
