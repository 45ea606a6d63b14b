"""What an argument, an option or a setting must be: what would otherwise fail later, and elsewhere."""

from urllib.parse import SplitResult, urlsplit

from answerback.errors import ConfigError


def require_number(name: str, value: object, *, or_zero: bool = False) -> None:
    """Raise ConfigError, naming the argument, where it is no number above 0: the text of an environment variable, for example."""
    if not isinstance(value, int | float) or not (value > 0 or (or_zero and value == 0)):
        raise ConfigError(f"{name}: expected a number {'from 0 on' if or_zero else 'above 0'}, got {value!r}")


def check_http_url(url: str, expected: str) -> SplitResult:
    """The parts of an absolute http:// or https:// URL. Raises ValueError that names what is `expected`."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if not known or not url.isprintable() or " " in url:
        raise ValueError(f"expected {expected}")
    return parts


def require_http_url(name: str, url: str) -> None:
    """Raise ConfigError, naming the option or the setting, where `url` is no http:// or https:// URL."""
    try:
        check_http_url(url, "http://… or https://…")
    except ValueError as error:
        raise ConfigError(f"{name}: {error}, got {url}") from error
