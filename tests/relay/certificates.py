"""Certificates made when they are needed."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


class Authority(NamedTuple):
    """Signs certificates; `file` is what to trust."""

    directory: Path
    name: str
    key: Key
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        """Its own certificate."""
        return self.directory / f"{self.name}.pem"

    def issue(self, name: str, *, hosts: str = "") -> Path:
        """A PEM file with a certificate and its key; `hosts` as DNS:localhost,IP:127.0.0.1."""
        key, bundle = _new_key(), self.directory / f"{name}.pem"
        certificate = _certificate(name, key, self.certificate.subject, hosts).sign(self.key, hashes.SHA256())
        bundle.write_bytes(certificate.public_bytes(Encoding.PEM) + _pem(key))
        bundle.with_suffix(".locked.pem").write_bytes(
            certificate.public_bytes(Encoding.PEM) + _pem(key, BestAvailableEncryption(b"secret"))
        )
        return bundle

    def lock(self, bundle: Path) -> Path:
        """The same with its key behind a pass phrase."""
        return bundle.with_suffix(".locked.pem")


def found_authority(directory: Path, name: str) -> Authority:
    """An authority of its own."""
    key = _new_key()
    unsigned = _certificate(name, key, _named(name), "").add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    authority = Authority(directory, name, key, unsigned.sign(key, hashes.SHA256()))
    authority.file.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return authority


def server_side(bundle: Path, clients: Path | None = None) -> ssl.SSLContext:
    """How a server shows `bundle`; with `clients` it takes only clients that this authority has signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(name: str, key: Key, issuer: x509.Name, hosts: str) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
    )
    names = [_host(host) for host in hosts.split(",") if host]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _host(spelled: str) -> x509.GeneralName:
    kind, _, host = spelled.partition(":")
    return x509.DNSName(host) if kind == "DNS" else x509.IPAddress(ipaddress.ip_address(host))


def _pem(key: Key, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
