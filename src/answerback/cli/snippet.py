"""`answerback snippet`: programs that send by the emulator."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from answerback.cli.options import AsJson
from answerback.cli.plain_output import print_json
from answerback.domain.arguments import require_http_url
from answerback.emulator.snippets import LANGUAGE_NAMES, SnippetLanguage, build_snippets
from answerback.errors import ConfigError


def snippet(
    language: Annotated[SnippetLanguage, typer.Argument(help="The language of your program.")],
    api: Annotated[str | None, typer.Option(help="2.0 or 3.0; both by default.")] = None,
    url: Annotated[str, typer.Option(help="Where the emulator listens.")] = "http://127.0.0.1:8020",
    authority: Annotated[
        Path | None,
        typer.Option(help="The authority that `emulate --https` has made, authority.pem; for Python's SDK of API 3.0."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The emulator's TOML file, for its application and keys.")] = None,
    as_json: AsJson = False,
) -> None:
    from answerback.emulator.settings import load_settings

    require_http_url("--url", url)
    account = load_settings(config).account()
    found = build_snippets(language, account, url.rstrip("/"), authority)
    wanted = [one for one in found if api in (None, one.api)]
    if not wanted:
        there_are = " and ".join(one.api for one in found)
        raise ConfigError(
            f"--api: there is no program for API {api} in {LANGUAGE_NAMES[language]}, only for {there_are}"
        )
    if as_json:
        print_json({"items": [one._asdict() for one in wanted]})
    else:
        sys.stdout.write("\n".join(one.program for one in wanted))
