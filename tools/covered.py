"""How much of each package the tests went through, of lines and of branches: from the report of `make coverage`."""
# ruff: noqa: INP001  # a script, not a package

import json
from collections import defaultdict
from pathlib import Path

REPORT = Path("artefacts/coverage/report.json")
SOURCE = Path("src/answerback")


def main() -> None:
    """Print a table in Markdown, the least covered package first; modules of no package count as one."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for file, covered in json.loads(REPORT.read_text())["files"].items():
        package, *inner = Path(file).relative_to(SOURCE).parts
        summary = covered["summary"]
        for name in (package if inner else "modules of no package", "all"):
            for number, kind in enumerate(("num_statements", "covered_lines", "num_branches", "covered_branches")):
                counts[name][number] += summary[kind]
    say("| package | lines | branches |")
    say("| --- | ---: | ---: |")
    for name in sorted(counts, key=lambda name: _share(*counts[name][2:])):
        lines, covered_lines, branches, covered_branches = counts[name]
        say(f"| {name} | {_share(lines, covered_lines):.1%} | {_share(branches, covered_branches):.1%} |")


def _share(of: int, covered: int) -> float:
    return covered / of if of else 1.0


def say(line: str) -> None:
    """Print it."""
    print(line)  # noqa: T201  # a command


if __name__ == "__main__":
    main()
