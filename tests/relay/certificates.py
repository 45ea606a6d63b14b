"""Certificates made when they are needed, with all that RFC 5280 asks: Python verifies strictly from 3.13 on."""

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

_SIGNING_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


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
        unsigned = _certificate(name, key, self.certificate.subject, hosts)
        certificate = _signed(unsigned, self.key)
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
    unsigned = (
        _certificate(name, key, _named(name), "")
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNING_ONLY, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    authority = Authority(directory, name, key, _signed(unsigned, key))
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


def _signed(unsigned: x509.CertificateBuilder, key: Key) -> x509.Certificate:
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return unsigned.add_extension(signer, critical=False).sign(key, hashes.SHA256())


def _host(spelled: str) -> x509.GeneralName:
    kind, _, host = spelled.partition(":")
    return x509.DNSName(host) if kind == "DNS" else x509.IPAddress(ipaddress.ip_address(host))


def _pem(key: Key, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
