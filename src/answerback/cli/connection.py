"""A client of a gateway for a command, and what went wrong in the words of whoever named the gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from answerback.cli.profiles import Profile
from answerback.errors import ConfigError, describe_os_error

if TYPE_CHECKING:
    import ssl

    from answerback.client import ApiError, Client

CA_FILE = "ANSWERBACK_CA_FILE"

_NO_ROUTE = ("there is nothing at this address", "the gateway answered", "Not Found")
"""How a 404 begins that is about the address: the gateway's, a server's without a problem, and FastAPI's own."""
_REDIRECTION = 3  # 3xx
_UNTRUSTED = "certificate is not trusted"


class RemoteGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that is asked over HTTP: `name` is what chose it and `key_name` where its key is from, for errors."""

    name: str
    key_name: str
    profile: Profile


@contextmanager
def connect(remote: RemoteGateway, *, masked: bool = False) -> "Iterator[Client]":
    """A client of a gateway; what goes wrong is said of the option, the variable or the profile at fault. Raises AnswerbackError."""
    from answerback.client import (
        ApiError,
        ConnectionFailed,
        Forbidden,
        RateLimited,
        Unauthorized,
        Unavailable,
        UnexpectedResponse,
    )

    name, url = remote.name, remote.profile.url
    try:
        with _make_client(remote, masked=masked) as client:
            yield client
    except Unauthorized as error:
        if remote.key_name == name:
            raise ConfigError(f"{name}: {url} does not know this key: log in again with `answerback login`") from error
        raise ConfigError(f"{remote.key_name}: {url} does not know this key") from error
    except ConnectionFailed as error:
        if _UNTRUSTED in error.detail:
            raise ConfigError(
                f"{name}: {error}; for a private authority use `answerback login --ca-file`, or {CA_FILE}"
            ) from error
        raise ConfigError(f"{name}: {error}") from error
    except (Forbidden, RateLimited, Unavailable, UnexpectedResponse) as error:
        raise ConfigError(f"{name}: {error}") from error
    except ApiError as error:
        if _is_no_route(error):
            raise ConfigError(
                f"{name}: {url} does not offer this: it is not a gateway, or one of another version"
            ) from error
        raise


def _make_client(remote: RemoteGateway, *, masked: bool) -> "Client":
    from answerback.client import Client

    profile = remote.profile
    tls = None if profile.ca is None else trust(remote.name, profile.ca)
    try:
        return Client(profile.url, profile.key, tls=tls, masked=masked)
    except ConfigError as error:
        name = remote.key_name if str(error).startswith("key: ") else remote.name
        raise ConfigError(f"{name}: {error}") from error


def _is_no_route(error: "ApiError") -> bool:
    """Whether nothing of a gateway is at the address, or nothing that does this; a proxy may lead elsewhere."""
    is_missing = error.status == HTTPStatus.NOT_FOUND and error.detail.startswith(_NO_ROUTE)
    return is_missing or error.status == HTTPStatus.METHOD_NOT_ALLOWED or (error.status or 0) // 100 == _REDIRECTION


def trust(name: str, ca: str) -> "ssl.SSLContext":
    """Trust the authority of these certificates alone. Raises ConfigError."""
    import ssl

    try:
        return ssl.create_default_context(cadata=ca or "-")
    except ssl.SSLError as error:
        raise ConfigError(f"{name}: expected the certificates of an authority in PEM") from error


def read_text(name: str, path: Path) -> str:
    """What is in a file that an option or a variable names. Raises ConfigError."""
    try:
        return path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:  # which would show what it read
        raise ConfigError(f"{name}: {path}: is not ASCII text") from None
    except OSError as error:
        raise ConfigError(f"{name}: {path}: {describe_os_error(error)}") from error
