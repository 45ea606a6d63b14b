"""This machine's own public addresses, given to a network that a test has for itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).with_name("own_address.py")
_IN_A_NETWORK = 'ip link set lo up && ip addr add "$1/$2" dev lo && exec "$3" "$4" "$1"'


@pytest.mark.parametrize(("address", "bits"), [("93.184.216.34", 32), ("2606:4700:4700::1234", 128)])
def test_this_machine_is_not_reached_by_its_public_address(address: str, bits: int) -> None:
    """Refused to endpoints made through the API as loopback is; the config file, and allowed_networks, may have it."""
    become_root = [] if os.geteuid() == 0 else ["--map-root-user"]  # which nobody may in a chroot
    unshare = ["unshare", *become_root, "--net"]
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are not on this machine")
    probe = subprocess.run([*unshare, "true"], capture_output=True, timeout=20, check=False)
    if probe.returncode:
        pytest.skip("this machine gives nobody a network of its own")
    done = subprocess.run(
        [*unshare, "sh", "-c", _IN_A_NETWORK, "sh", address, str(bits), sys.executable, str(_PROGRAM)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(_PROGRAM.parents[1])},
    )
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert errors.pop("api").endswith(f"{address} is this machine itself; relay.allowed_networks can allow it")
    assert errors == {"allowed": None, "config": None}
