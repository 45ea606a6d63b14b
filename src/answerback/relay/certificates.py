"""The certificates of the config file, by name. They are read before anything runs, and again, in a thread, when a file changes."""

import asyncio
import os
import ssl
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from answerback.errors import ConfigError

T = TypeVar("T")

LOOK_AGAIN_S = 30.0

_LARGEST_BYTES = 4 * 1024 * 1024

log = structlog.get_logger("answerback.relay")


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The PEM files of one certificate: the authorities to trust, and who we are, with the key beside it or in it."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


class Certificates:
    """How servers are trusted, and how they can trust us, by the name that endpoints give."""

    def __init__(self, files: Mapping[str, CertificateFiles] | None = None) -> None:
        """Read them all. Raises ConfigError that names the setting."""
        self._files = dict(files or {})
        self._read_of: dict[str, list[tuple[int, ...]]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        for name in self._files:
            self._read(name)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @property
    def names(self) -> tuple[str, ...]:
        """Those there are."""
        return tuple(sorted(self._files))

    def context(self, name: str | None) -> ssl.SSLContext | bool:
        """What a connection goes by; without a name, by the system's authorities. Raises ValueError; reads no file."""
        if name is None:
            return True
        if name not in self._contexts:
            raise ValueError(f"there is no certificate {name} in the config file of this process")
        return self._contexts[name]

    async def watch(self, every_s: float = LOOK_AGAIN_S) -> None:
        """Go on to read what was renewed, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.read_again)

    def read_again(self) -> None:
        """Read what has changed; where it is unfit, what was read before goes on to be used, and the log says so."""
        for name in self._files:
            try:
                if self._read(name):
                    log.info("certificate_renewed", certificate=name)
            except ConfigError as error:
                log.error("certificate_unfit", reason=str(error))  # noqa: TRY400  # the words are enough

    def _read(self, name: str) -> bool:
        """Whether it is new. Raises ConfigError."""
        files = self._files[name]
        now = [
            _checked(f"certificates.{name}.{field}", path)
            for field in CertificateFiles.__struct_fields__
            if (path := getattr(files, field)) is not None
        ]
        if now == self._read_of.get(name):
            return False
        self._contexts[name] = _context(name, files)
        self._read_of[name] = now
        return True


def _checked(setting: str, path: Path) -> tuple[int, ...]:
    """What tells one state of a file from another. Raises ConfigError where it is none that can be read without waiting."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting}: {path}: {_reason(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{setting}: {path}: is not a regular file")
    if found.st_size > _LARGEST_BYTES:
        raise ConfigError(f"{setting}: {path}: is larger than {_LARGEST_BYTES} bytes")
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _context(name: str, files: CertificateFiles) -> ssl.SSLContext:
    context = _loaded(f"certificates.{name}.ca_file", lambda: ssl.create_default_context(cafile=files.ca_file))
    if (client_cert := files.client_cert) is not None:
        _loaded(
            f"certificates.{name}.client_cert",
            # without a password of ours OpenSSL would ask the terminal for one
            lambda: context.load_cert_chain(client_cert, files.client_key, password=lambda: ""),
        )
    return context


def _loaded(setting: str, load: Callable[[], T]) -> T:
    try:
        return load()
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        raise ConfigError(f"{setting}: cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    known = isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno
    return os.strerror(known) if known else str(error)
