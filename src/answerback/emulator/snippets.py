"""What to paste into a program so that it calls by the emulator: made for the address that it listens on.

The programs are in `programs/`, a file each, with names in braces for what is filled in.
"""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from answerback.emulator.send_requests import Account, count_parameters

_PROGRAMS = Path(__file__).parent / "programs"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class SnippetLanguage(StrEnum):
    """A language with SDKs of the vendor's."""

    PYTHON = "python"
    NODE = "node"
    JAVA = "java"
    PHP = "php"
    CSHARP = "csharp"
    GO = "go"


LANGUAGE_NAMES = {
    SnippetLanguage.PYTHON: "Python",
    SnippetLanguage.NODE: "Node.js",
    SnippetLanguage.JAVA: "Java",
    SnippetLanguage.PHP: "PHP",
    SnippetLanguage.CSHARP: "C#",
    SnippetLanguage.GO: "Go",
}


class Snippet(NamedTuple):
    """A program for one of the APIs. `file` is what to save it as."""

    title: str
    api: str
    file: str
    program: str


_FILES = {
    SnippetLanguage.PYTHON: "send.py",
    SnippetLanguage.NODE: "send.js",
    SnippetLanguage.JAVA: "Send.java",
    SnippetLanguage.PHP: "send.php",
    SnippetLanguage.CSHARP: "Send.cs",
    SnippetLanguage.GO: "send.go",
}


def build_snippets(
    language: SnippetLanguage, account: Account, url: str, authority: Path | None = None
) -> list[Snippet]:
    """The programs in a language, one for each API that it has an SDK for, for the first application of the account.

    `authority` is what Python's SDK for API 3.0 has to be told to trust; the others are told outside of the program.
    """
    application = next(iter(account.applications.values()))
    secret_id, secret_key = next(iter(account.secrets.items()), ("", ""))
    template, says = next(iter(application.templates.items()), ("", ""))
    address = urlsplit(url)
    texts = {
        "url": url,
        "scheme": address.scheme,
        "SCHEME": address.scheme.upper(),
        "host": address.netloc,
        "hostname": address.hostname or "",
        "port": str(address.port or {"https": 443}.get(address.scheme, 80)),
        "app_id": application.app_id,
        "app_key": application.app_key,
        "template": template,
        "secret_id": secret_id,
        "secret_key": secret_key,
        "authority": str(authority),
    }
    values = {name: _escape(text, language) for name, text in texts.items()}
    values["parameters"] = ", ".join(['"disk full"'] * count_parameters(says))
    values["certification"] = f', certification="{values["authority"]}"' if authority else ""
    snippets = []
    for file in sorted(_PROGRAMS.glob(f"{language}-*.txt")):
        program = _PLACEHOLDER.sub(lambda found: values[found[1]], file.read_text(encoding="utf-8"))
        api = file.stem.removeprefix(f"{language}-")
        snippets.append(Snippet(f"{LANGUAGE_NAMES[language]}, API {api}", api, _FILES[language], program))
    return snippets


def _escape(text: str, language: SnippetLanguage) -> str:
    """`text` as it stands between double quotes, which all of these languages read alike; but PHP, which has variables there."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return escaped.replace("$", "\\$") if language is SnippetLanguage.PHP else escaped
