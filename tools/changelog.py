"""Refuse a commit that changes what is shipped and says nothing of it in CHANGELOG.md: `tools/changelog.py MESSAGE_FILE`.

A hook of git: `.venv/bin/pre-commit install` switches it on. A commit that users cannot notice says so on a line of its
message: `Changelog: none`.
"""
# ruff: noqa: INP001  # a script, not a package

import re
import subprocess
import sys
from pathlib import Path

SHIPPED = ("src/", "deploy/")
CHANGELOG = "CHANGELOG.md"
NOTHING_TO_NOTICE = re.compile(r"^Changelog: none$", re.MULTILINE)


def main() -> str | None:
    """Say what is wrong, or None."""
    message = Path(sys.argv[1]).read_text()
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only"],  # noqa: S607  # the user's git
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    ships = [path for path in staged if path.startswith(SHIPPED)]
    if not ships or CHANGELOG in staged or NOTHING_TO_NOTICE.search(message):
        return None
    return (
        f"{ships[0]} changes, and {CHANGELOG} does not say what users notice of it: add a line, "
        "or end the message with `Changelog: none`"
    )


if __name__ == "__main__":
    sys.exit(main())
