"""The forge's workflows and forms, which nobody has run: by the forge's own schemas, and by a linter of their safety."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.files import PINNED, ROOT

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (FORGE / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def lint(program: str, *arguments: object) -> tuple[int, str]:
    """The exit status of a program of the virtual environment, and what it says."""
    command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [FORGE / "ISSUE_TEMPLATE/config.yml"]),
    ],
)
def test_the_forge_reads_it(schema: str, files: list[Path]) -> None:
    """Each file is what the forge's schema says."""
    assert files
    status, said = lint("check-jsonschema", "--builtin-schema", schema, *files)
    assert status == 0, said


def test_nothing_in_it_is_unsafe() -> None:
    """No template in a script, no credentials left behind, no more rights than a job needs."""
    status, said = lint("zizmor", "--offline", "--no-progress", "--config", FORGE / "zizmor.yml", *WORKFLOWS)
    assert status == 0, said


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_the_same_commands(path: Path) -> None:
    """It calls the verbs of the Makefile, in bounded time, and says that it has not been run."""
    text = path.read_text()
    assert text.startswith("# NOT RUN YET: ")
    verbs = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = re.findall(r"- run: make (\w+)", text)
    assert called
    assert set(called) <= set(verbs)
    jobs: dict[str, Any] = yaml.safe_load(text)["jobs"]
    assert [name for name, job in jobs.items() if "timeout-minutes" not in job] == []
    assert [
        job["container"] for job in jobs.values() if "container" in job and not PINNED.fullmatch(job["container"])
    ] == []
