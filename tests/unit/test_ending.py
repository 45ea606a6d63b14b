"""What the tests execute ends with them: nothing is executed but by `ending`."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
BY_THEMSELVES = {
    "forking.py": "what it forks, and what that executes, asks for the signal itself",
    "postgresql.py": "PostgreSQL becomes another user, and so is watched by a process of its own",
    "deploy/test_sandbox.py": "its script asks for the signal when it has become another user",
    "packages/test_installed.py": "`make dist` runs it alone",
    "sdks/test_programs.py": "in a namespace of users, which it enters, it asks for the signal anew",
}
"""The files that execute in another way -> why."""

_STARTED = re.compile(r"subprocess\.Popen\(\s*([\w.]+)")


def unending(source: str) -> list[str]:
    """What is executed otherwise: its expression, or the variable that holds the command."""
    started = set(_STARTED.findall(source)) - {"ending"}
    return sorted(command for command in started if f"{command} = ending(" not in source)


def test_what_is_executed_ends_with_the_tests() -> None:
    """A run that is killed leaves no process behind."""
    sources = {str(path.relative_to(TESTS)): path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)}
    found = {name: unending(source) for name, source in sources.items() if name not in BY_THEMSELVES}
    assert {name: commands for name, commands in found.items() if commands} == {}
