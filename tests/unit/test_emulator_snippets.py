"""The programs for each language."""

import re
import socket
from pathlib import Path

import pytest

from answerback.emulator.serving import base_url
from answerback.emulator.settings import DEFAULT_CREDENTIALS, ApplicationSettings, EmulatorSettings
from answerback.emulator.snippets import SnippetLanguage, build_snippets

URL = "http://127.0.0.1:8020"


@pytest.mark.parametrize("language", SnippetLanguage)
def test_everything_is_filled_in(language: SnippetLanguage) -> None:
    """No name in braces is left, the keys are the application's, and there is a program for each API that has an SDK."""
    snippets = build_snippets(language, EmulatorSettings().account(), URL)
    assert [one.api for one in snippets] == (["3.0"] if language is SnippetLanguage.GO else ["2.0", "3.0"])
    for one in snippets:
        assert re.findall(r"\{[a-zA-Z_]+\}", one.program) == []
        assert one.title.endswith(f"API {one.api}")
        assert DEFAULT_CREDENTIALS["app_id"] in one.program
        keys = ("app_key",) if one.api == "2.0" else ("secret_id", "secret_key")
        assert [name for name in keys if DEFAULT_CREDENTIALS[name] not in one.program] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8020", "https://localhost:8443", "https://localhost"])
def test_a_program_goes_where_the_emulator_is(url: str) -> None:
    """By its scheme, host and port; port 443 is filled in where none is named."""
    scheme, _, host = url.partition("://")
    for language in SnippetLanguage:
        for one in build_snippets(language, EmulatorSettings().account(), url):
            if (language, one.api) == (SnippetLanguage.NODE, "2.0"):  # it speaks https alone
                port = host.partition(":")[2] or "443"
                assert f"defaultPort = {port};" in one.program
            elif one.api == "2.0":
                assert f'"{url}' in one.program
            else:
                assert f'"{host}"' in one.program
                assert f'"{scheme}' in one.program.lower() or f"req_{scheme})" in one.program.lower()


@pytest.mark.parametrize(("host", "reached_at"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_the_address_can_be_called(host: str, reached_at: str) -> None:
    """Programs call this machine where the emulator listens on all its addresses."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        assert base_url(bound, secure=True) == f"https://{reached_at}:{bound.getsockname()[1]}"


def test_a_program_gives_a_template_its_parameters() -> None:
    """As many as the first template of the account wants."""
    account = EmulatorSettings(
        applications={"1400000001": ApplicationSettings(app_key="k", templates={"7": "{2}: {1}"})}
    ).account()
    for language in SnippetLanguage:
        program = build_snippets(language, account, URL)[-1].program
        assert '"disk full", "disk full"' in program
        assert '"7"' in program


def test_what_is_filled_in_is_quoted() -> None:
    """As the language reads it between quotes; a name in braces in a key is no name of ours."""
    key = 'a"b\\c{url}'
    account = EmulatorSettings(
        applications={"1400000001": ApplicationSettings(app_key=f"{key}$d")}, secrets={"i": key}
    ).account()
    for language in (SnippetLanguage.PYTHON, SnippetLanguage.PHP):
        old, new = build_snippets(language, account, URL, Path('/my "own"/authority.pem'))
        assert r'"a\"b\\c{url}' + (r"\$d" if language is SnippetLanguage.PHP else "$d") + '"' in old.program
        assert r'"a\"b\\c{url}"' in new.program
    python = build_snippets(SnippetLanguage.PYTHON, account, URL, Path('/my "own"/authority.pem'))[1]
    assert r'certification="/my \"own\"/authority.pem"' in python.program


def test_python_gets_what_to_trust() -> None:
    """Its SDK for API 3.0 takes that from the program alone."""
    _, without = build_snippets(SnippetLanguage.PYTHON, EmulatorSettings().account(), URL)
    assert "certification" not in without.program
