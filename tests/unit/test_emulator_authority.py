"""The certificate that `answerback emulate --https` makes for itself."""

import ast
import ipaddress
import shlex
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from answerback.cli.language import set_language, tr_message
from answerback.emulator import authority
from answerback.emulator.authority import HOSTS, TRUST_STORE_PASSWORD, AuthorityFiles, make_certificate, trust_hints
from answerback.errors import ConfigError
from answerback.i18n import Language


@pytest.fixture(scope="module", autouse=True)
def _small_keys() -> Iterator[None]:
    """Which are found in a tenth of the time; nobody speaks TLS here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authority, "_KEY_BITS", 1024)
        yield


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was made."""
    directory = tmp_path_factory.mktemp("https") / "new"
    make_certificate(directory)
    return directory


def test_it_is_for_this_machine_and_for_the_cloud(directory: Path) -> None:
    """Its loopback addresses, localhost and the hosts that SDKs call; only its owner can read its key, and the authority's is nowhere."""
    files = make_certificate(directory)
    names = (
        x509.load_pem_x509_certificate(files.certificate.read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", *HOSTS}
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert stat.S_IMODE(files.certificate.stat().st_mode) == 0o600
    assert sorted(file.name for file in directory.iterdir()) == ["authority.p12", "authority.pem", "emulator.pem"]
    assert b"PRIVATE KEY" not in files.authority.read_bytes()


def test_java_trusts_the_same_authority(directory: Path) -> None:
    """The trust store holds the authority, under the password that is printed."""
    files = make_certificate(directory)
    assert_fit(files)
    assert trust_hints(files, "127.0.0.1", 8020)["Java"].endswith(f"={TRUST_STORE_PASSWORD}")


def test_it_is_kept_until_it_is_about_to_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trusts it goes on trusting it after a restart; a week before the end of its year there is another."""
    files = make_certificate(tmp_path)
    first = files.authority.read_bytes()
    assert make_certificate(tmp_path) == files
    assert files.authority.read_bytes() == first
    monkeypatch.setattr(authority, "_SPARE", timedelta(days=366))
    make_certificate(tmp_path)
    assert files.authority.read_bytes() != first


def test_it_is_for_where_the_emulator_listens_too(tmp_path: Path) -> None:
    """An address or a name that the certificate of the last start was not for makes another one; those it was for, none."""
    files = make_certificate(tmp_path, ["192.0.2.7", "emulator"])
    first = files.certificate.read_bytes()
    names = x509.load_pem_x509_certificate(first).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {"localhost", "emulator"} <= set(names.value.get_values_for_type(x509.DNSName))
    assert ipaddress.ip_address("192.0.2.7") in names.value.get_values_for_type(x509.IPAddress)
    make_certificate(tmp_path, ["192.0.2.7", "0.0.0.0"])
    assert files.certificate.read_bytes() == first
    make_certificate(tmp_path, ["192.0.2.8"])
    assert files.certificate.read_bytes() != first


@pytest.mark.parametrize("name", ["emulator.pem", "authority.pem", "authority.p12"])
def test_a_file_that_is_cut_off_is_made_anew_with_the_others(directory: Path, tmp_path: Path, name: str) -> None:
    """As it may be when the emulator is killed while it writes."""
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(b"-----BEGIN CERTIFICATE-----")
    assert_fit(make_certificate(tmp_path))


def test_files_of_two_authorities_are_made_anew(directory: Path, tmp_path: Path) -> None:
    """Whatever trusts the one would not trust the other's certificate."""
    make_certificate(tmp_path)
    shutil.copy(directory / "authority.pem", tmp_path)
    assert_fit(make_certificate(tmp_path))


def assert_fit(files: AuthorityFiles) -> None:
    """The certificate and the trust store are the authority's."""
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    x509.load_pem_x509_certificate(files.certificate.read_bytes()).verify_directly_issued_by(authority)
    store = pkcs12.load_pkcs12(files.trust_store.read_bytes(), TRUST_STORE_PASSWORD.encode())
    assert [one.certificate for one in store.additional_certs] == [authority]


def test_emulators_that_start_together_make_one_certificate(tmp_path: Path) -> None:
    """In one directory: all are given files that fit each other."""
    with ThreadPoolExecutor() as starting:
        made = list(
            starting.map(lambda _: (make_certificate(tmp_path), *map(Path.read_bytes, tmp_path.iterdir())), range(4))
        )
    assert made == [made[0]] * 4


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    """By the option that sets it."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--https-dir: .*file/below: Not a directory$"):
        make_certificate(tmp_path / "file" / "below")


def test_port_443_is_asked_for_unless_it_is_this_one(directory: Path) -> None:
    """An SDK that cannot be pointed elsewhere calls port 443 of the cloud's hosts."""
    files = make_certificate(directory)
    assert trust_hints(files, "127.0.0.1", 8020)["Any, unchanged"].endswith(", and --port 443")
    assert trust_hints(files, "::1", 443)["Any, unchanged"] == f"::1 {' '.join(HOSTS)} in the hosts file"


def test_what_is_printed_can_be_pasted(tmp_path: Path) -> None:
    """A path with a space or a quote is one word of the shell, and one string of Python."""
    files = make_certificate(tmp_path / 'my "own"')
    hints = trust_hints(files, "127.0.0.1", 8020)
    assert shlex.split(hints["Node"]) == [f"NODE_EXTRA_CA_CERTS={files.authority}"]
    assert f"-Djavax.net.ssl.trustStore={files.trust_store}" in shlex.split(hints["Java"])
    assert shlex.split(hints["PHP 3.0"])[-1] == f"openssl.cafile={files.authority}"
    assert ast.literal_eval(hints["Python 3.0"].removeprefix("HttpProfile(certification=")[:-1]) == str(files.authority)


@pytest.fixture
def in_chinese() -> Iterator[None]:
    """As with `--lang zh`."""
    set_language(Language.ZH)
    yield
    set_language(Language.EN)


@pytest.mark.usefixtures("in_chinese")
def test_what_is_printed_is_printed_in_chinese(directory: Path) -> None:
    """All but what is pasted and what an SDK is called."""
    for port in (443, 8020):
        hints = trust_hints(make_certificate(directory), "127.0.0.1", port)
        said = {tr_message(sdk): tr_message(hint) for sdk, hint in hints.items()}
        pasted = {sdk: hint for sdk, hint in hints.items() if tr_message(hint) == hint}
        assert pasted.keys() == {"Python 2.0, Go", "Python 3.0", "Node", "Java", "PHP 3.0"}
        assert said["PHP 2.0"] == "无需设置：它不校验证书"
        assert said["不改动的 SDK"] == f"在 hosts 文件中写入 127.0.0.1 {' '.join(HOSTS)}" + (
            "" if port == 443 else "，并使用 --port 443"
        )
