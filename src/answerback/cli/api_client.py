"""A client of the running gateway: changes go through it, so that they take effect at once."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from answerback.auth.api_keys import FILE_NAME as KEY_NAME
from answerback.config import Settings
from answerback.errors import AnswerbackError
from answerback.service.urls import URL_NAME

_TIMEOUT_S = 330.0  # a test may take as long as the endpoint's own time

Url = Annotated[
    str | None, typer.Option("--url", help="The gateway's URL; by default that of the gateway running in --data-dir.")
]


class ApiError(AnswerbackError):
    """The gateway does not respond, or refused the request."""


class ApiClient:
    """A client of the gateway of a data directory: /v1 with the admin key."""

    def __init__(self, settings: Settings, url: str | None) -> None:
        self._data_dir = settings.server.data_dir
        self._url = (
            url or self._read(URL_NAME, "no gateway is running here: start it with `answerback serve`")
        ).rstrip("/")
        self._key = self._read(KEY_NAME, "there is no admin key here: name the directory with --data-dir")

    def request(self, method: str, *path: str, body: Any = None) -> Any:
        """The response of /v1 as JSON, None if it has no body. Raises GatewayRefused with the problem's detail."""
        url = "/".join([f"{self._url}/v1", *(quote(part, safe="") for part in path)])
        request = urllib.request.Request(  # noqa: S310  # the operator's own URL
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=_TIMEOUT_S
            ) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise ApiError(_detail(error)) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise ApiError(f"no gateway answers at {self._url}: {reason}; start it, or name it with --url") from error
        return json.loads(said) if said else None

    def _read(self, name: str, otherwise: str) -> str:
        path: Path = self._data_dir / name
        try:
            return path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ApiError(f"{path}: {otherwise}") from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {error.code} {error.reason}"
