"""`answerback login`, `logout` and `profiles`: the remote gateways that commands can be for."""

import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from answerback.cli.connection import RemoteGateway, connect, read_text, trust
from answerback.cli.language import tr
from answerback.cli.options import AsJson
from answerback.cli.output import err, out, print_table
from answerback.cli.plain_output import print_json
from answerback.cli.profiles import (
    DEFAULT_PROFILE,
    Profile,
    delete_profile,
    load_profile,
    profile_names,
    profile_path,
    save_profile,
)
from answerback.errors import ConfigError

if TYPE_CHECKING:
    from answerback.client import Client

_LONGEST_KEY = 4096


def login(
    url: Annotated[str, typer.Argument(help="The gateway's URL, e.g. https://voice.example.com")],
    profile: Annotated[str, typer.Option(help="The name to store it under.")] = DEFAULT_PROFILE,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with the API key; by default it is asked for, or read from standard input."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates, in PEM, of the private authority to trust; they are stored, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    path = profile_path(profile)
    ca = None if ca_file is None else read_text("--ca-file", ca_file)
    if ca is not None:
        trust("--ca-file", ca)
    if _is_in_clear(url):
        err.print(tr("[yellow]warning:[/] over http:// the key and all numbers are sent unencrypted"), soft_wrap=True)
    key_name, key = _read_key(key_file)
    stored = Profile(url=url.rstrip("/"), key=key, ca=ca)
    with connect(RemoteGateway(name="URL", key_name=key_name, profile=stored)) as client:
        found = {"profile": profile, "url": stored.url, **client.me().model_dump(), "versions": _versions(client)}
    save_profile(profile, stored)
    if as_json:
        print_json(found)
        return
    numbers = tr("full numbers") if found["full_numbers"] else tr("masked numbers")
    said = tr(
        "logged in to {url}, version {versions}, with the key [bold]{name}[/]: {role} with {numbers}",
        **found | {"numbers": numbers, "versions": ", ".join(found["versions"])},
    )
    out.print(said, soft_wrap=True)
    out.print(tr("stored as the profile [bold]{profile}[/] in {path}", profile=profile, path=path), soft_wrap=True)


def logout(
    profile: Annotated[str, typer.Option(help="The profile to forget.")] = DEFAULT_PROFILE,
) -> None:
    if not delete_profile(profile):
        raise ConfigError(f"--profile: there is no profile {profile}; `answerback profiles` lists them")
    out.print(tr("the profile [bold]{profile}[/] is deleted; its key still works until it is revoked", profile=profile))


def profiles(as_json: AsJson = False) -> None:
    found = {name: stored for name in profile_names() if (stored := load_profile(name)) is not None}
    if as_json:
        print_json({"items": [{"profile": name, "url": one.url} for name, one in found.items()]})
    else:
        rows = [(name, one.url) for name, one in found.items()]
        print_table((tr("profile"), "URL"), rows, tr("no profiles: `answerback login URL` makes one"))


def _read_key(file: Path | None) -> tuple[str, str]:
    """The key, and where it is from. Raises ConfigError."""
    if file is not None:
        return "--key-file", read_text("--key-file", file)
    if sys.stdin.isatty():
        from getpass import getpass

        with suppress(EOFError):
            return tr("the key"), getpass(tr("API key: ")).strip()
        raise typer.Abort
    return tr("standard input"), sys.stdin.readline(_LONGEST_KEY).strip()


def _is_in_clear(url: str) -> bool:
    """Whether what is sent to a URL can be read on its way."""
    with suppress(ValueError):
        parts = urlsplit(url)
        host = parts.hostname or ""
        with suppress(ValueError):
            return parts.scheme == "http" and not ip_address(host).is_loopback
        return parts.scheme == "http" and host != "localhost"
    return False


def _versions(client: "Client") -> list[str]:
    """The version of the gateway; several while its processes are upgraded one by one."""
    return sorted({one.version for one in client.status().instances if not one.silent})
