"""The certificates of the config file: what is taken, what is refused, and when it is read."""

import os
import shutil
from pathlib import Path

import pytest
from relay.certificates import Authority

from answerback.certificates import CertificateFiles, Certificates
from answerback.errors import ConfigError


def test_what_cannot_be_read_is_named_by_its_setting(authority: Authority, tmp_path: Path) -> None:
    """Missing, broken, a directory, too large, and what would be waited for: a FIFO and a device are never opened."""
    broken, huge, fifo = tmp_path / "broken.pem", tmp_path / "huge.pem", tmp_path / "fifo.pem"
    broken.write_text("no certificate")
    with huge.open("wb") as file:
        file.truncate(2**30)
    os.mkfifo(fifo)
    fit = authority.issue("client")
    for path, problem in [
        (tmp_path / "missing.pem", "No such file"),
        (broken, "cannot be used"),
        (tmp_path, "is not a regular file"),
        (fifo, "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (huge, "is larger than"),
    ]:
        for field, files in (
            ("ca_file", CertificateFiles(ca_file=path, client_cert=fit)),
            ("client_cert", CertificateFiles(ca_file=authority.file, client_cert=path)),
        ):
            with pytest.raises(ConfigError, match=rf"^certificates\.crm\.{field}: .*{problem}"):
                Certificates({"crm": files})


def test_the_key_may_be_beside_the_certificate(authority: Authority, tmp_path: Path) -> None:
    """In one file, or in two; not in none."""
    whole = authority.issue("client")
    blocks = whole.read_text().partition("-----BEGIN PRIVATE KEY-----")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(blocks[0])
    key.write_text("".join(blocks[1:]))
    assert Certificates({"crm": CertificateFiles(client_cert=whole)}).names == ("crm",)
    assert Certificates({"crm": CertificateFiles(client_cert=certificate, client_key=key)}).names == ("crm",)
    with pytest.raises(ConfigError, match=r"^certificates\.crm\.client_cert: "):
        Certificates({"crm": CertificateFiles(client_cert=certificate)})


def test_a_file_is_read_again_only_where_it_has_changed(authority: Authority, tmp_path: Path) -> None:
    """And while the new one cannot be used, what was read before goes on."""
    file = Path(shutil.copy(authority.file, tmp_path / "ca.pem"))
    certificates = Certificates({"crm": CertificateFiles(ca_file=file)})
    first = certificates.ssl_context_for("crm")
    certificates.reload()
    assert certificates.ssl_context_for("crm") is first
    file.unlink()
    certificates.reload()
    assert certificates.ssl_context_for("crm") is first
    os.mkfifo(file)
    certificates.reload()
    assert certificates.ssl_context_for("crm") is first
    file.unlink()
    shutil.copy(authority.file, file)
    certificates.reload()
    assert certificates.ssl_context_for("crm") is not first


def test_without_a_name_the_system_is_trusted() -> None:
    """And a name that is not there is said."""
    assert Certificates().ssl_context_for(None) is True
    with pytest.raises(ValueError, match="there is no certificate crm"):
        Certificates().ssl_context_for("crm")
