"""Certificates made when they are needed, by the openssl command."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple


class Authority(NamedTuple):
    """Signs certificates; `file` is what to trust."""

    directory: Path
    name: str

    @property
    def file(self) -> Path:
        """Its own certificate."""
        return self.directory / f"{self.name}.pem"

    def issue(self, name: str, *, hosts: str = "") -> Path:
        """A PEM file with a certificate and its key; `hosts` as DNS:localhost,IP:127.0.0.1."""
        bundle = self.directory / f"{name}.pem"
        key, request, extensions = (bundle.with_suffix(suffix) for suffix in (".key", ".csr", ".ext"))
        extensions.write_text(f"subjectAltName={hosts}\n" if hosts else "basicConstraints=CA:FALSE\n")
        _openssl("req", "-new", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-extfile", extensions, "-out", bundle),
            *("-CA", self.file, "-CAkey", self.file.with_suffix(".key"), "-CAcreateserial"),
        )
        bundle.write_text(bundle.read_text() + key.read_text())
        return bundle

    def lock(self, bundle: Path) -> Path:
        """The same with its key behind a pass phrase."""
        locked, key = bundle.with_suffix(".locked.pem"), bundle.with_suffix(".locked.key")
        _openssl("pkcs8", "-topk8", "-in", bundle.with_suffix(".key"), "-out", key, "-passout", "pass:secret")
        locked.write_text(bundle.read_text().partition("-----BEGIN PRIVATE")[0] + key.read_text())
        return locked


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def found_authority(directory: Path, name: str) -> Authority:
    """An authority of its own."""
    authority = Authority(directory, name)
    files = ("-keyout", authority.file.with_suffix(".key"), "-out", authority.file)
    _openssl("req", "-x509", *_NEW_KEY, *files, "-days", "2", "-subj", f"/CN={name}")
    return authority


def server_side(bundle: Path, clients: Path | None = None) -> ssl.SSLContext:
    """How a server shows `bundle`; with `clients` it takes only clients that this authority has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
