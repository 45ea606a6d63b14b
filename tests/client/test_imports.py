"""The client is imported where it is used, and nowhere else."""

import subprocess
import sys

import pytest
from gateway import Gateway, prompt

WITHOUT = """
import sys
sys.modules[{library!r}] = None
import answerback
from answerback import *
print(answerback.parse.__name__)
try:
    answerback.{name}
except answerback.AnswerbackError as error:
    print(error)
"""
COMMAND = """
import sys
sys.argv[1:] = {arguments!r}
from answerback.cli import app
try:
    app()
except SystemExit as end:
    assert not end.code, end
print({{"httpx2", "answerback.client"}} & sys.modules.keys(), file=sys.stderr)
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.parametrize("library", ["httpx2", "pydantic"])
@pytest.mark.parametrize("name", ["Client", "AsyncClient", "construct_event"])
def test_without_its_extra_the_client_says_which(library: str, name: str) -> None:
    """The rest of the library works without it."""
    said = python(WITHOUT.format(library=library, name=name)).stdout.splitlines()
    assert said == ["parse", f'answerback.{name} needs {library}: pip install "answerback[client]"']


def test_what_is_not_there_is_an_attribute_error() -> None:
    """As in any module."""
    assert (
        "has no attribute 'Cleint'"
        in python("import answerback\ntry: answerback.Cleint\nexcept AttributeError as e: print(e)").stdout
    )


def test_a_command_that_asks_no_gateway_imports_no_client(gateway: Gateway, callid: str) -> None:
    """It would take as long as the rest of its start."""
    gateway.post(prompt(callid))
    gateway.await_recorded()
    for arguments in (["--help"], ["calls", "show", callid, "--data-dir", str(gateway.data_dir)]):
        done = python(COMMAND.format(arguments=arguments))
        assert done.stdout
        assert done.stderr.splitlines()[-1] == "set()"
