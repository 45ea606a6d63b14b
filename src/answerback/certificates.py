"""The TLS certificates of the config file, by name: loaded at the start, and again, in a thread, when a file changes."""

import asyncio
import os
import ssl
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from answerback.errors import ConfigError

T = TypeVar("T")

RELOAD_EVERY_S = 30.0

_MAX_FILE_BYTES = 4 * 1024 * 1024

log = structlog.get_logger("answerback.relay")


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The PEM files of one certificate: authorities to trust, and our client certificate, with its key beside or in it."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


class Certificates:
    """TLS contexts by the name that endpoints refer to."""

    def __init__(self, files: Mapping[str, CertificateFiles] | None = None) -> None:
        """Load them all. Raises ConfigError that names the setting."""
        self._files = dict(files or {})
        self._fingerprints: dict[str, list[tuple[int, ...]]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        """Held while files are read, which is done in threads."""
        for name in self._files:
            self._load(name)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted(self._files))

    def ssl_context_for(self, name: str | None) -> ssl.SSLContext | bool:
        """Return the TLS context of a name; without one, True: the system's authorities. Raises ValueError; reads no file."""
        if name is None:
            return True
        if name not in self._contexts:
            raise ValueError(f"there is no certificate {name} in the config file of this process")
        return self._contexts[name]

    async def watch(self, every_s: float = RELOAD_EVERY_S) -> None:
        """Reload what has changed, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.reload)

    def reload(self) -> None:
        """Reload the files that changed; if one is invalid, log that and keep what was loaded before."""
        with self._lock:
            for name in self._files:
                try:
                    if self._load(name):
                        log.info("certificate_renewed", certificate=name)
                except ConfigError as error:
                    log.error("certificate_invalid", reason=str(error))  # noqa: TRY400  # the words are enough

    def swap(self, other: "Certificates") -> None:
        """Have what `other` has, and let it have what was here."""
        with self._lock:
            for name in ("_files", "_fingerprints", "_contexts"):
                mine, others = getattr(self, name), getattr(other, name)
                setattr(self, name, others)
                setattr(other, name, mine)

    def _load(self, name: str) -> bool:
        """Load one if its files changed; return whether they did. Raises ConfigError."""
        files = self._files[name]
        now = [
            _file_fingerprint(f"certificates.{name}.{field}", path)
            for field in CertificateFiles.__struct_fields__
            if (path := getattr(files, field)) is not None
        ]
        if now == self._fingerprints.get(name):
            return False
        self._contexts[name] = _build_context(name, files)
        self._fingerprints[name] = now
        return True


def _file_fingerprint(setting: str, path: Path) -> tuple[int, ...]:
    """Return what identifies this version of a file. Raises ConfigError unless it is a regular file of a sane size."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting}: {path}: {_reason(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{setting}: {path}: is not a regular file")
    if found.st_size > _MAX_FILE_BYTES:
        raise ConfigError(f"{setting}: {path}: is larger than {_MAX_FILE_BYTES} bytes")
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _build_context(name: str, files: CertificateFiles) -> ssl.SSLContext:
    context = _load_or_config_error(
        f"certificates.{name}.ca_file", lambda: ssl.create_default_context(cafile=files.ca_file)
    )
    if (client_cert := files.client_cert) is not None:
        _load_or_config_error(
            f"certificates.{name}.client_cert",
            # without a password of ours OpenSSL would ask the terminal for one
            lambda: context.load_cert_chain(client_cert, files.client_key, password=lambda: ""),
        )
    return context


def _load_or_config_error(setting: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        raise ConfigError(f"{setting}: cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    known = isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno
    return os.strerror(known) if known else str(error)
