"""The certificate that `answerback emulate --https` makes for itself."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from answerback.emulator import authority
from answerback.emulator.authority import HOSTS, make_certificate, trust_hints
from answerback.errors import ConfigError


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was made."""
    directory = tmp_path_factory.mktemp("https") / "new"
    make_certificate(directory)
    return directory


def test_it_is_for_this_machine_and_for_the_cloud(directory: Path) -> None:
    """127.0.0.1, localhost and the hosts that SDKs call; only its owner can read its key, and the authority's is nowhere."""
    files = make_certificate(directory)
    names = (
        x509.load_pem_x509_certificate(files.certificate.read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", *HOSTS}
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert stat.S_IMODE(files.certificate.stat().st_mode) == 0o600
    assert sorted(file.name for file in directory.iterdir()) == ["authority.p12", "authority.pem", "emulator.pem"]
    assert b"PRIVATE KEY" not in files.authority.read_bytes()


def test_java_trusts_the_same_authority(directory: Path) -> None:
    """The trust store holds the authority, under the password that is printed."""
    files = make_certificate(directory)
    password = trust_hints(files, 8020)["Java"].rpartition("=")[2].encode()
    store = pkcs12.load_pkcs12(files.trust_store.read_bytes(), password)
    pem = x509.load_pem_x509_certificate(files.authority.read_bytes())
    assert [one.certificate for one in store.additional_certs] == [pem]


def test_it_is_kept_until_it_is_about_to_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trusts it goes on trusting it after a restart; a week before the end of its year there is another."""
    files = make_certificate(tmp_path)
    first = files.authority.read_bytes()
    assert make_certificate(tmp_path) == files
    assert files.authority.read_bytes() == first
    monkeypatch.setattr(authority, "_SPARE", timedelta(days=366))
    make_certificate(tmp_path)
    assert files.authority.read_bytes() != first


def test_a_certificate_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    """One that was cut off while it was written, for example."""
    files = make_certificate(tmp_path)
    files.certificate.write_text("-----BEGIN CERTIFICATE-----")
    make_certificate(tmp_path)
    x509.load_pem_x509_certificate(files.certificate.read_bytes())


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    """By the option that sets it."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--https-dir: .*file/below: Not a directory$"):
        make_certificate(tmp_path / "file" / "below")


def test_port_443_is_asked_for_unless_it_is_this_one(directory: Path) -> None:
    """An SDK that cannot be pointed elsewhere calls port 443 of the cloud's hosts."""
    files = make_certificate(directory)
    assert trust_hints(files, 8020)["Any, unchanged"].endswith(", and --port 443")
    assert trust_hints(files, 443)["Any, unchanged"] == f"127.0.0.1 {' '.join(HOSTS)} in the hosts file"
