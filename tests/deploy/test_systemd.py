"""The systemd units, checked by systemd's own tools where they are: there is no systemd here that runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from deploy.files import UNITS, program, unit

from answerback.config import PREFIX, Settings, load_settings

_PROGRAM = Path("/opt/answerback/bin/answerback")
_HERE = Path(sys.executable).with_name("answerback")
_CREDENTIALS = {
    "ANSWERBACK_LEDGER__URL": "postgresql://db/answerback",
    "ANSWERBACK_STREAM__URL": "nats://a:4222",
    "ANSWERBACK_SERVER__ADMIN_KEY": "k" * 32,
    "ANSWERBACK_SERVER__SECRET": "s" * 32,
}
_MOST_EXPOSED = 20
"""Tenths of what `systemd-analyze security` counts from 0 to 10; a unit without hardening has 96."""


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units with the program of this checkout in place of the installed one; of the template one instance."""
    copies = []
    for path in UNITS:
        copy = tmp_path / path.name.replace("@.", "@intake.")
        copy.write_text(path.read_text().replace(str(_PROGRAM), str(_HERE)))
        copies.append(copy)
    return copies


def test_units_are_understood(units: list[Path]) -> None:
    """The verifier finds no unknown setting, no missing program and no contradiction."""
    ended = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_units_are_hardened(units: list[Path]) -> None:
    """The auditor counts little that a unit could do to the machine."""
    for path in units:
        subprocess.run(
            [program("systemd-analyze"), "security", "--offline=yes", f"--threshold={_MOST_EXPOSED}", path],
            capture_output=True,
            check=True,
            timeout=60,
        )


def test_units_share_their_hardening() -> None:
    """What one unit may not do, the others may not either."""
    hardened = [path.read_text().partition("DynamicUser=")[2].partition("\n\n")[0].strip() for path in UNITS]
    assert len(hardened) == 3
    assert len(set(hardened)) == 1


def test_gateways_come_back_and_drain() -> None:
    """A gateway is started again however it ended, for ever; at a stop it has the time to drain."""
    fields = Settings.model_fields
    longest_s = fields["intake"].default.shutdown_timeout_s + fields["relay"].default.shutdown_timeout_s
    for path in UNITS:
        service = unit(path)
        if service["Type"] == ["exec"]:
            assert service["Restart"] == ["always"]
            assert "StartLimitIntervalSec=0" in path.read_text()
            assert service["KillMode"] == ["mixed"]
            assert int(service["TimeoutStopSec"][0]) > 2 * longest_s


def test_a_reload_passes_the_config_file_on() -> None:
    """What the start copies for the unit's user is copied again before the gateway is told, and it is what it reads."""
    for path in UNITS:
        service = unit(path)
        if service["Type"] == ["exec"]:
            (copy,) = service["ExecStartPre"]
            assert service["ExecReload"] == [copy, "/bin/kill -HUP $MAINPID"]
            assert f"--config %t/{service['RuntimeDirectory'][0]}/answerback.toml" in service["ExecStart"][0]


def test_credentials_are_secret_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a unit passes to the gateway as credentials, the gateway takes as its secrets."""
    for path in UNITS:
        directory = tmp_path / path.name
        directory.mkdir()
        for name in (credential.partition(":")[0] for credential in unit(path).get("LoadCredential", ())):
            (directory / name).write_text(_CREDENTIALS.get(name, "tcp://that-is-none"))
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
        settings = load_settings()
        if "@" in path.name:
            for name, value in _CREDENTIALS.items():
                section, _, setting = name.removeprefix(PREFIX).lower().partition("__")
                assert getattr(getattr(settings, section), setting).get_secret_value() == value


def test_data_stays_in_the_state_directory() -> None:
    """The data directory is the one that systemd makes, keeps and gives to the unit's user alone."""
    for path in UNITS:
        service = unit(path)
        assert f"ANSWERBACK_SERVER__DATA_DIR=%S/{service['StateDirectory'][0]}" in service["Environment"]
        assert service["StateDirectoryMode"] == ["0700"]
