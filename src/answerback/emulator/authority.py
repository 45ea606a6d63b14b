"""A certificate for the emulator, by an authority made for it alone, and how each SDK is made to trust that."""

import ipaddress
import json
import os
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from answerback.errors import ConfigError, MissingExtra, describe_os_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise MissingExtra('--https needs cryptography: pip install "answerback[emulator]"') from error

HOSTS = ("cloud.tim.qq.com", "yun.tim.qq.com", "vms.tencentcloudapi.com")
"""What the SDKs call unless they are pointed elsewhere."""

TRUST_STORE_PASSWORD = "changeit"  # noqa: S105  # it guards a public certificate: Java wants one

_HTTPS_PORT = 443
_KEY_BITS = 2048
_AUTHORITY = "Answerback emulator authority"
_NAMES = ("localhost", "127.0.0.1", "::1", *HOSTS)
_VALID = timedelta(days=365)
_SPARE = timedelta(days=7)
_NO_USE = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


class AuthorityFiles(NamedTuple):
    """`authority`: what to trust, as PEM; `trust_store`: the same for Java; `certificate`: the emulator's own, with its key."""

    authority: Path
    trust_store: Path
    certificate: Path


def make_certificate(directory: Path, names: Collection[str] = ()) -> AuthorityFiles:
    """The files in `directory`, the same for a year, then anew; for `names`, hosts and addresses, as well. Raises ConfigError.

    The authority's key is thrown away, so that nothing else can be signed in its name.
    """
    files = AuthorityFiles(*(directory / name for name in ("authority.pem", "authority.p12", "emulator.pem")))
    wanted = [name for name in map(_general_name, dict.fromkeys((*_NAMES, *names))) if not _means_any(name)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory):
            if not _is_usable(files, wanted):
                _write(files, wanted)
    except OSError as error:
        raise ConfigError(f"--https-dir: {directory}: {describe_os_error(error)}") from error
    return files


def trust_hints(files: AuthorityFiles, address: str, port: int) -> Mapping[str, str]:
    """SDK -> what makes it take the emulator, at `address`, for the cloud."""
    authority, store = str(files.authority.resolve()), files.trust_store.resolve()
    file = shlex.quote(authority)
    trusted_by_java = shlex.join(
        [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}"]
    )
    hosts = f"{address} {' '.join(HOSTS)}"
    in_file = f"{hosts} in the hosts file"
    in_file_and_at_443 = f"{hosts} in the hosts file, and --port {_HTTPS_PORT}"
    return {
        "Python 2.0, Go": f"SSL_CERT_FILE={file}",
        "Python 3.0": f"HttpProfile(certification={json.dumps(authority, ensure_ascii=False)})",
        "Node": f"NODE_EXTRA_CA_CERTS={file}",
        "Java": f"java {trusted_by_java}",
        "PHP 3.0": f"php -d {shlex.quote(f'openssl.cafile={authority}')}",
        "PHP 2.0": "nothing: it checks no certificate",
        ".NET": f"SSL_CERT_FILE={file} on Linux, elsewhere the store of the system",
        "Any, unchanged": in_file if port == _HTTPS_PORT else in_file_and_at_443,
    }


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let nobody else make the files meanwhile: those of two would not fit each other."""
    if fcntl is None:
        yield
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_usable(files: AuthorityFiles, names: Collection[x509.GeneralName]) -> bool:
    """Whether the files are there, are of one authority, are for all of `names` and will be for a while."""
    if not all(file.exists() for file in files):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        certificate.verify_directly_issued_by(authority)
        store = pkcs12.load_pkcs12(files.trust_store.read_bytes(), TRUST_STORE_PASSWORD.encode())
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):  # cut off, somebody's notes, or another authority's
        return False
    return (
        certificate.not_valid_after_utc > datetime.now(UTC) + _SPARE
        and [one.certificate for one in store.additional_certs] == [authority]
        and set(names) <= set(known)
    )


def _means_any(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.IPAddress) and name.value.is_unspecified


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(files: AuthorityFiles, names: Collection[x509.GeneralName]) -> None:
    authority_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS) for _ in range(2))
    authority = _authority(authority_key)
    certificate = _certificate(key, authority_key, names)
    store = [pkcs12.PKCS12Certificate(authority, b"answerback-emulator")]
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.trust_store.write_bytes(
        pkcs12.serialize_java_truststore(store, BestAvailableEncryption(TRUST_STORE_PASSWORD.encode()))
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(files.certificate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(certificate.public_bytes(Encoding.PEM) + private)


def _authority(key: rsa.RSAPrivateKey) -> x509.Certificate:
    return (
        _unsigned(_AUTHORITY, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**_NO_USE | {"key_cert_sign": True}), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    key: rsa.RSAPrivateKey, authority_key: rsa.RSAPrivateKey, names: Collection[x509.GeneralName]
) -> x509.Certificate:
    return (
        _unsigned("Answerback emulator", key, authority_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**_NO_USE | {"digital_signature": True, "key_encipherment": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _unsigned(subject: str, key: rsa.RSAPrivateKey, authority_key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now, issuer = datetime.now(UTC), authority_key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(_AUTHORITY))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
