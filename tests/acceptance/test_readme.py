"""What both READMEs show is what the program does: their commands are run, and print what stands there."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest
import typer
from forking import launch
from gateway import START_TIMEOUT_S, environment, run

from answerback.cli.main import app

TOP = Path(__file__).parents[2]
ENGLISH, CHINESE = READMES = ("README.md", "README.zh-CN.md")
ADDRESS, DIRECTORY = "http://127.0.0.1:8000", "/srv/answerback"
SERVE = "make serve"
_VARYING = {
    "key": r"\bab_[\w-]{43}",
    "secret": r"\bwhsec_[\w+/=]+",
    "id": r"\b[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b",
    "time of now": r"\b20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d\b",
}
"""What differs from run to run. The example's call is of 2016, and its times are not among these."""


class Block(NamedTuple):
    """A fenced block of a README."""

    language: str
    text: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console block, and what it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks(readme: str) -> list[Block]:
    """All fenced blocks, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", (TOP / readme).read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def without_comments(block: Block) -> Block:
    """The block without what is translated; a comment behind `print` is what that prints."""
    text = re.sub(r"^(?! *print)(.*?) +# .*$", r"\1", block.text, flags=re.MULTILINE)
    return Block(block.language, text)


def assert_prints(shown: str, printed: str) -> None:
    """Fail unless `printed` is what the README shows; `...` there stands for any lines."""
    pattern = r"\n".join(r"(?:.*\n)*?.*" if line == "..." else _pattern(line) for line in shown.splitlines())
    lines = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    assert re.fullmatch(pattern, "\n".join(lines)), f"the README shows\n{shown}\nand this is printed\n{printed}"


def _pattern(line: str) -> str:
    varying = re.compile("|".join(f"({pattern})" for pattern in _VARYING.values()))
    parts, end = [], 0
    for found in varying.finditer(line):
        assert found.lastindex is not None
        parts += [re.escape(line[end : found.start()]), list(_VARYING.values())[found.lastindex - 1]]
        end = found.end()
    return "".join([*parts, re.escape(line[end:])])


class Shell:
    """Where a reader tries the README: a directory of its own, and the gateway that `make serve` starts there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ADDRESS

    def translated(self, text: str) -> str:
        """What the README shows, with this gateway's address and this directory."""
        return text.replace(ADDRESS, self.url).replace(DIRECTORY, str(self.home))

    def printed(self, command: str) -> str:
        """Run a command; return its standard output."""
        program, *arguments = shlex.split(self.translated(command))
        if program == "answerback":
            done = run(*arguments, cwd=self.home)
        else:
            done = subprocess.run(
                ["/bin/bash", "-c", self.translated(command)],
                cwd=self.home,
                env=environment() | {"no_proxy": "*"},
                check=False,
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A gateway on a free port, started as `make serve` does, and what it printed."""
    shell = Shell(tmp_path)
    shown = next(output for block in blocks(ENGLISH) for command, output in block.commands() if command == SERVE)
    with TemporaryFile() as out, TemporaryFile() as err:
        gateway = launch(["serve", "--port", "0"], cwd=tmp_path, env=environment(), stdout=out, stderr=err)
        try:
            printed, deadline_s = "", time.monotonic() + START_TIMEOUT_S
            while printed.count("\n") < shown.count("\n"):
                assert gateway.poll() is None, "serve ended"
                assert time.monotonic() < deadline_s, printed
                time.sleep(0.01)
                out.seek(0)
                printed = out.read().decode()
            found = re.search(r"http://127\.0\.0\.1:\d+", printed)
            assert found is not None
            shell.url = found[0]
            assert_prints(shell.translated(shown), printed)
            yield shell
        finally:
            gateway.kill()
            gateway.wait(START_TIMEOUT_S)


def test_commands_print_what_the_readme_shows(shell: Shell) -> None:
    """In the README's order: settings are written to the file, callbacks are posted, commands are run."""
    all_blocks = blocks(ENGLISH)
    tried = 0
    for block, following in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        if block.language == "toml":
            with (shell.home / "answerback.toml").open("a") as config:
                config.write(block.text)
        if block.language == "sh" and following is not None and following.language == "json":
            assert json.loads(shell.printed(block.text)) == json.loads(following.text)
            tried += 1
        for command, output in block.commands() if block.language == "console" else ():
            if command != SERVE:
                assert_prints(shell.translated(output), shell.printed(command))
                tried += 1
    assert tried >= 4


def test_commands_that_need_more_are_understood() -> None:
    """What takes another machine or a second terminal is not run, but its words are those of the program."""
    lines = [line for block in blocks(ENGLISH) if block.language == "sh" for line in block.text.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("answerback ")]
    commands += [text.split()[1:] for text in re.findall(r"`(answerback [a-z][^`]*)`", (TOP / ENGLISH).read_text())]
    assert len(commands) > 4
    for words in commands:
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        with command.make_context("answerback", words):
            pass


def test_both_languages_show_the_same() -> None:
    """The blocks are the same in the same order, but for the comments."""
    english, chinese = ([without_comments(block) for block in blocks(name)] for name in READMES)
    assert english == chinese


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short_and_its_links_lead_somewhere(name: str) -> None:
    """Under 200 lines; every relative link is a file, and what is behind # a heading of it."""
    text = (TOP / name).read_text()
    assert text.count("\n") < 200
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text)
    assert len(links) > 20
    missing = [f"{path}#{heading}" for path, heading in links if not _exists(path or name, heading)]
    assert missing == []


def _exists(path: str, heading: str) -> bool:
    target = TOP / path
    return target.exists() and (not heading or heading in _anchors(target.read_text()))


def _anchors(text: str) -> set[str]:
    """The headings of a document as GitHub's links name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
