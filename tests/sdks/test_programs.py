"""The programs that `answerback snippet` prints, run with the vendor's SDKs of each language: `make sdks`.

A language whose toolchain is not on the path is skipped by its name.
"""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cloud import VoiceCloud
from gateway import environment
from gateway import run as answerback
from sdks.toolchains import DIRECT, run, toolchain

from answerback.emulator.snippets import SnippetLanguage

pytestmark = [pytest.mark.sdks, pytest.mark.timeout(1000)]

NOBODY = "http://127.0.0.1:9/"
HTTPS_ALONE = ("node", "2.0")


@pytest.fixture(scope="module", params=["http", "https"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceCloud]:
    """An emulator, with and without a certificate of its own making."""
    home = tmp_path_factory.mktemp("the cloud")
    secure: dict[str, Any] = {"https": True} if request.param == "https" else {}
    with VoiceCloud(home, NOBODY, instant=True, retries=0, **secure) as running:
        yield running


@pytest.mark.parametrize("language", SnippetLanguage)
def test_a_printed_program_sends(cloud: VoiceCloud, pytestconfig: pytest.Config, language: SnippetLanguage) -> None:
    """Extracted from the output, saved, run: what it prints is the callid of a call that the emulator made."""
    chosen, home = toolchain(language, pytestconfig)
    authority = cloud.reported.get("authority")
    trusted = ["--authority", authority] if authority else []
    printed = answerback("snippet", language, "--url", cloud.url, "--json", *trusted, cwd=home)
    for one in json.loads(printed.stdout)["items"]:
        if (language, one["api"]) == HTTPS_ALONE and authority is None:
            continue
        program = home / one["file"]
        program.write_text(one["program"], encoding="utf-8")
        options, variables = trust(language, cloud.reported.get("trust", {}), one["api"])
        callid = run(chosen, program, options, variables)
        assert cloud.call(callid)["mobile"] == "13800138004"
        assert cloud.call(callid)["text"] in ("disk full", "告警：disk full，请尽快处理。")


def trust(language: str, hints: Mapping[str, str], api: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """The options and variables that `emulate --https` has printed for a language."""
    names = {
        "python": f"Python {api}",
        "node": "Node",
        "java": "Java",
        "go": "Go",
        "php": f"PHP {api}",
        "csharp": ".NET",
    }
    hint = next((how for sdk, how in hints.items() if names[language] in sdk), "")
    words = shlex.split(hint) if hint.startswith(("java ", "php ")) or "_" in hint.partition("=")[0] else []
    if words and "=" in words[0]:
        return [], dict([words[0].split("=", 1)])
    return words[1:], {}


UNCHANGED = {
    SnippetLanguage.PYTHON: [(", url=url", ""), ('protocol="https", endpoint="127.0.0.1", ', "")],
    SnippetLanguage.NODE: [
        (r're:require\("https"\).*\nconst', "const"),
        (r"re:sender\.url = .*\n", ""),
        (r"re:  profile: .*\n", ""),
        ('CommonClient("127.0.0.1"', 'CommonClient("vms.tencentcloudapi.com"'),
    ],
    SnippetLanguage.JAVA: [("new ToEmulator()", "new DefaultHTTPClient()"), (r"re:http\.set\w+\(.*\);", "")],
    SnippetLanguage.GO: [(r"re:\tto\.HttpProfile\..*\n", "")],
}
"""What is left out of a printed program so that it calls where its SDK calls by itself."""

IN_NAMESPACE = """
import json, os, subprocess, sys, urllib.request, ssl
program = json.loads(sys.argv[1])
emulator = subprocess.Popen(
    ["setpriv", "--pdeathsig", "KILL",
     sys.executable, "-m", "answerback", "emulate", "--https", "--https-dir", program["directory"], "--port", "443",
     "--instant", "--retries", "0", "--callback-url", "http://127.0.0.1:9/", "--json"],
    stdout=subprocess.PIPE, text=True,
)
try:
    text = ""
    while not text.endswith("\\n}\\n"):
        text += emulator.stdout.readline()
    done = subprocess.run(program["command"], env=os.environ | program["variables"], cwd=program["cwd"],
                          stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    context = ssl.create_default_context(cafile=json.loads(text)["authority"])
    url = "https://cloud.tim.qq.com/api/calls/" + done.stdout.strip()
    print(urllib.request.urlopen(url, context=context).read().decode())
finally:
    emulator.kill()
    emulator.wait()
"""


@pytest.mark.parametrize("language", UNCHANGED)
def test_an_sdk_that_is_pointed_nowhere_finds_the_emulator(
    tmp_path: Path, pytestconfig: pytest.Config, language: SnippetLanguage
) -> None:
    """By the hosts file and port 443, each in a namespace of its own: the SDK is as it comes, and so is its address."""
    chosen, home = toolchain(language, pytestconfig)
    directory = tmp_path / "https"
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MAKE_CERTIFICATE), directory], capture_output=True, text=True, check=True
    )
    hints = json.loads(made.stdout)
    (tmp_path / "hosts").write_text(
        f"127.0.0.1 localhost\n{hints['Any, unchanged'].partition(' in the hosts file')[0]}\n"
    )
    authority = str((directory / "authority.pem").resolve())
    options = ["--url", "https://127.0.0.1", "--authority", authority, "--json"]
    printed = answerback("snippet", language, *options, cwd=home)
    for one in json.loads(printed.stdout)["items"]:
        program = home / one["file"]
        program.write_text(changed(one["program"], UNCHANGED[language]), encoding="utf-8")
        flags, variables = trust(language, hints, one["api"])
        given = {
            "directory": str(directory),
            "command": [str(part) for part in chosen.command(program, flags)],
            "variables": {**variables, **DIRECT},
            "cwd": str(home),
        }
        script = 'ip link set lo up; mount --bind hosts /etc/hosts; exec setpriv --pdeathsig KILL "$0" -c "$1" "$2"'
        done = subprocess.run(
            [
                "unshare",
                "--map-root-user",
                "--net",
                "--mount",
                "sh",
                "-ec",
                script,
                sys.executable,
                IN_NAMESPACE,
                json.dumps(given),
            ],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["mobile"] == "13800138004"


MAKE_CERTIFICATE = """
import json, sys, pathlib
from answerback.emulator.authority import make_certificate, trust_hints
print(json.dumps(trust_hints(make_certificate(pathlib.Path(sys.argv[1])), "127.0.0.1", 443)))
"""


def changed(program: str, changes: Sequence[tuple[str, str]]) -> str:
    """The program with each of `changes` that is about it."""
    for old, new in changes:
        program = re.sub(old.removeprefix("re:") if old.startswith("re:") else re.escape(old), new, program)
    return program
