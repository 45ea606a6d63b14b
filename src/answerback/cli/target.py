"""Which gateway a command is for: what is on this machine, or a remote one; and how it is opened."""

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_args, get_type_hints

import typer

from answerback.cli.connection import CA_FILE, RemoteGateway, connect, read_text
from answerback.cli.language import tr, tr_message
from answerback.cli.options import DEFAULTS, Config, DatabaseUrl, DataDir, load_cli_settings
from answerback.cli.output import err
from answerback.cli.profiles import DEFAULT_PROFILE, Profile, load_profile, profile_path
from answerback.errors import ConfigError

if TYPE_CHECKING:
    from answerback.cli.local import LocalGateway
    from answerback.client import Client
    from answerback.config import Settings

P = ParamSpec("P")

_URL, _KEY, _PROFILE = "ANSWERBACK_URL", "ANSWERBACK_KEY", "ANSWERBACK_PROFILE"
_PLACES = ("answerback.toml", "answerback-data")
_PLACE_VARIABLES = (
    "ANSWERBACK_SERVER__DATA_DIR",
    "ANSWERBACK_LEDGER__URL",
    "ANSWERBACK_LEDGER__URL_FILE",
    "CREDENTIALS_DIRECTORY",
)
"""What says that there is something on this machine. To load the settings, to know it, takes longer than a request."""

Url = Annotated[str | None, typer.Option("--url", help="The URL of a remote gateway.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="File with the API key for --url, or for the gateway on this machine; by default ANSWERBACK_KEY.",
    ),
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="A remote gateway that `answerback login` has stored.")
]


class GatewayTarget:
    """The gateway that a command is for, by its options, by the environment, or by what there is."""

    def __init__(self, options: Mapping[str, Any], *, is_quiet: bool) -> None:
        self._options = options
        self._is_quiet = is_quiet

    @cached_property
    def remote(self) -> RemoteGateway | None:
        """The remote gateway; None: what is on this machine. Raises ConfigError where two are named."""
        given = [name for name, value in self._options.items() if value is not None and name != "key_file"]
        here = [name for name in given if name in ("data_dir", "database_url", "config")]
        there = [name for name in given if name not in here]
        if len(there) > 1 or (here and there):
            first, second = map(_option, (*here, *there)[-2:])
            raise ConfigError(f"{first} and {second} name two gateways: leave one out")
        if here:
            return None
        return self._named() or self._from_environment() or self._left_over()

    def _named(self) -> RemoteGateway | None:
        if (url := self._options["url"]) is not None:
            return self._at("--url", url)
        if (name := self._options["profile"]) is not None:
            return self._logged_in(f"--profile {name}", name)
        return None

    def _from_environment(self) -> RemoteGateway | None:
        url, name = os.environ.get(_URL), os.environ.get(_PROFILE)
        if url and name:
            raise ConfigError(f"{_URL} and {_PROFILE} name two gateways: leave one out")
        if url:
            return self._at(_URL, url)
        return self._logged_in(f"{_PROFILE}={name}", name) if name else None

    def _left_over(self) -> RemoteGateway | None:
        """The default profile, where there is nothing on this machine."""
        if any(map(os.path.exists, _PLACES)) or any(os.environ.get(name) for name in _PLACE_VARIABLES):
            return None
        if (profile := load_profile(DEFAULT_PROFILE)) is not None:
            return self._of_profile(f"profile {DEFAULT_PROFILE}", profile)
        raise ConfigError(
            "there is neither a gateway nor its data here: use --data-dir, or log in to a remote gateway with `answerback login`"
        )

    def _at(self, name: str, url: str) -> RemoteGateway:
        key_name, key = self._read_key()
        if key is None:
            raise ConfigError(f"{name}: there is no API key for it: give --key-file or {_KEY}, or log in")
        ca_file = os.environ.get(CA_FILE)
        ca = read_text(CA_FILE, Path(ca_file)) if ca_file else None
        return RemoteGateway(name=name, key_name=key_name, profile=Profile(url=url, key=key, ca=ca))

    def _logged_in(self, name: str, profile_name: str) -> RemoteGateway:
        profile = load_profile(profile_name)
        if profile is None:
            raise ConfigError(
                f"{name}: nobody has logged in: `answerback login URL --profile {profile_name}` writes {profile_path(profile_name)}"
            )
        return self._of_profile(name, profile)

    def _of_profile(self, name: str, profile: Profile) -> RemoteGateway:
        if self._options["key_file"] is not None:
            raise ConfigError(f"--key-file and {name} name two keys: leave one out")
        return RemoteGateway(name=name, key_name=name, profile=profile)

    def _read_key(self) -> tuple[str, str | None]:
        """The key that is given, and where it is from."""
        if (file := self._options["key_file"]) is not None:
            return "--key-file", read_text("--key-file", file)
        return _KEY, os.environ.get(_KEY) or None

    @cached_property
    def settings(self) -> "Settings":
        """Those of the gateway on this machine. Raises ConfigError."""
        given = {name: self._options[name] for name in ("data_dir", "database_url")}
        return load_cli_settings(self._options["config"], **given)

    @contextmanager
    def open(self, *, full_numbers: bool = False) -> "Iterator[Client | LocalGateway]":
        """The gateway, for a command that also works on the ledger of this machine while no gateway runs. Raises AnswerbackError."""
        if self.remote is not None:
            with self.client(full_numbers=full_numbers) as client:
                yield client
            return
        if self._options["key_file"] is not None:
            raise ConfigError("--key-file: the ledger of this machine is read without a key: name a gateway with --url")
        from answerback.cli.local import open_local

        with open_local(self.settings, full_numbers=full_numbers) as gateway:
            yield gateway

    @contextmanager
    def client(self, *, full_numbers: bool | None = None) -> "Iterator[Client]":
        """A client of the gateway, which has to run. Numbers come as the key may see them, or masked, or in full. Raises AnswerbackError."""
        remote = self.remote or self._running_here()
        if self.remote is not None and err.is_terminal and not self._is_quiet:
            said = tr("gateway: {url} ({name})", url=remote.profile.url, name=tr_message(remote.name))
            err.print(said, style="dim", soft_wrap=True, markup=False)
        with connect(remote, masked=full_numbers is False) as client:
            if full_numbers and not (key := client.me()).full_numbers:
                raise ConfigError(f"--unmask: the key {key.name} may not see full numbers")
            yield client
            if client.recorder_lag_s:
                said = tr("not in the ledger yet: what came in the last {lag_s:,.0f} s", lag_s=client.recorder_lag_s)
                err.print(said, soft_wrap=True)

    def _running_here(self) -> RemoteGateway:
        """The gateway that runs on the data directory, with its admin key if no other is given. Raises ConfigError."""
        from answerback.domain.models import ADMIN_KEY_FILE
        from answerback.service.urls import URL_NAME

        directory = self.settings.server.data_dir
        url = _read_line(directory / URL_NAME, "no gateway is running here: start it with `answerback serve`")
        key_name, key = self._read_key()
        if key is None or (key_name == _KEY and os.environ.get(_URL)):  # which that key is for
            key_name = str(directory / ADMIN_KEY_FILE)
            key = _read_line(directory / ADMIN_KEY_FILE, "there is no API key here: name its file with --key-file")
        return RemoteGateway(name=str(directory / URL_NAME), key_name=key_name, profile=Profile(url=url, key=key))


def _read_line(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {otherwise}") from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _group_option(option: Any) -> Any:
    """An option, in a panel of the help that these share."""
    kind, info = get_args(option)
    info = copy(info)
    info.rich_help_panel = "Which gateway"
    return Annotated[kind, info]


_PARAMETERS = {
    "url": _group_option(Url),
    "key_file": _group_option(KeyFile),
    "profile": _group_option(ProfileName),
    "data_dir": _group_option(DataDir),
    "database_url": _group_option(DatabaseUrl),
    "config": _group_option(Config),
}

_LAST = ("full_numbers", "as_json")
"""How something is shown; what it is stands above that in the help."""


def _option_parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=annotation)


def _own_parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    """What `command` takes besides the target; the options of a group in place of `**group: Unpack[...]`."""
    found: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(command).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            (group,) = get_args(parameter.annotation)
            found += [_option_parameter(*hint) for hint in get_type_hints(group, include_extras=True).items()]
        else:
            found.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
    return sorted(found, key=lambda parameter: parameter.name in _LAST)


def for_gateway(command: Callable[Concatenate[GatewayTarget, P], None]) -> Callable[..., None]:
    """`command`, with options that name the gateway in place of its first parameter, and those of a group in place of `**group`."""
    parameters = [*_own_parameters(command), *map(_option_parameter, _PARAMETERS, _PARAMETERS.values())]

    @wraps(command)
    def run(*arguments: Any, **named: Any) -> None:
        given = {name: named.pop(name) for name in _PARAMETERS}
        command(GatewayTarget(given, is_quiet=named.get("as_json", False)), *arguments, **named)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run
