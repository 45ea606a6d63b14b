"""The URLs of a gateway."""

from urllib.parse import urlsplit

from answerback.config import Settings
from answerback.domain.channels import CALLBACK_PATH

URL_NAME = "gateway-url"
"""The file in the data directory that holds the gateway's URL for the command line."""


def callback_urls(settings: Settings, address: tuple[str, int] | None = None) -> dict[str, str]:
    """Channel name -> the URL to paste into the cloud console, with its secret token."""
    base = outside_url(settings, address)
    return {
        name: f"{base}{CALLBACK_PATH}" if token is None else f"{base}{CALLBACK_PATH}/{token}"
        for name, token in settings.tokens().items()
    }


def outside_url(settings: Settings, address: tuple[str, int] | None = None) -> str:
    """The root as others reach it: `server.public_url`, or where the gateway listens."""
    base = settings.server.public_url or base_url(*(address or (settings.server.host, settings.server.port)))
    return base.rstrip("/")


def base_path(settings: Settings) -> str:
    """The path of `server.public_url`, below which the outside sees all of ours; "" where it has none."""
    return urlsplit(settings.server.public_url or "").path.rstrip("/")


def local_url(host: str, port: int) -> str:
    """The root of a server as a browser on its own machine reaches it; one on all addresses, by its own."""
    return base_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104  # it is compared with


def base_url(host: str, port: int) -> str:
    """The root of a server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
