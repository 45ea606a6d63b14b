"""The address of a NATS server, with credentials and TLS."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import RawCredentials


class ServerAddress:
    """One of the servers, as its URL and the settings name it."""

    def __init__(self, url: str, name: str, credentials: Path | None = None, ca_file: Path | None = None) -> None:
        self._parts = urlsplit(url)
        self._name = name
        self._credentials = credentials
        self._ca_file = ca_file

    @property
    def address(self) -> str:
        """Host and port, without the user and the password that may stand before them."""
        return self._parts.netloc.rpartition("@")[2]

    def options(self) -> dict[str, Any]:
        """What nats-py has to know to connect to it, and to it alone; reads files, so not for the event loop."""
        parts = self._parts
        options: dict[str, Any] = {"servers": f"{parts.scheme or 'nats'}://{self.address}", "name": self._name}
        if self._credentials is not None:
            options["user_credentials"] = RawCredentials(self._credentials.read_text(encoding="utf-8"))
        if parts.username and parts.password is not None:
            options |= {"user": unquote(parts.username), "password": unquote(parts.password)}
        elif parts.username:
            options["token"] = unquote(parts.username)
        if self._ca_file is not None:
            try:
                options["tls"] = ssl.create_default_context(cafile=str(self._ca_file))
            except OSError as error:
                raise OSError(f"stream.ca_file, {self._ca_file}: {error.strerror}") from error
        return options
