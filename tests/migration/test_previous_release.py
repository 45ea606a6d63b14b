"""The release before this one, as it was, on a ledger of today's schema: so a cluster is upgraded one process at a time."""

import subprocess
from pathlib import Path

import pytest
from gateway import OK, Gateway, key_press, prompt, run

PREVIOUS = "bec43e3"
"""The last commit of the release before this one: schema 0003, SQLite only."""

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its sources, out of the project's history."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", PREVIOUS, "src"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        reason = f"the history does not reach back to {PREVIOUS}, the release before: git fetch --unshallow"
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("previous")
    subprocess.run(["tar", "-x", "-C", place], input=packed.stdout, check=True)
    return place / "src"


def older(data_dir: Path, sources: Path) -> Gateway:
    """A gateway of the release before."""
    return Gateway(data_dir, settings={"PYTHONPATH": str(sources), "PYTHONSAFEPATH": "1"})


def calls(gateway: Gateway) -> dict[str, tuple[str, list[str]]]:
    """Every call by its callid: its outcome and keys, as a gateway tells them."""
    return {call["callid"]: (call["outcome"], call["keys"]) for call in gateway.items("/v1/calls")}


def test_both_serve_one_ledger(tmp_path: Path, previous: Path) -> None:
    """Each takes callbacks of calls that the other knows, and both tell the same of all of them."""
    with Gateway(tmp_path) as new, older(tmp_path, previous) as old:
        assert new.told.get("roles")
        assert "roles" not in old.told  # it is the program of then
        for n in range(10):
            first, second = (new, old) if n % 2 else (old, new)
            assert first.post(prompt(f"call-{n}")).content == OK
            assert second.post(prompt(f"call-{n}")).content == OK
            assert second.post(key_press(f"call-{n}", "5")).content == OK
        assert calls(new) == calls(old) == {f"call-{n}": ("answered", ["5"]) for n in range(10)}


def test_a_ledger_is_upgraded_while_it_is_served(tmp_path: Path, previous: Path) -> None:
    """Migrated under the old program, which goes on; then the new one beside it; and the old one once more after it."""
    with older(tmp_path, previous) as old:
        assert old.post(prompt("first")).content == OK
        refused = run("serve", "--port", "0", "--data-dir", tmp_path, cwd=tmp_path)
        assert (refused.returncode, "run `answerback migrate`" in refused.stderr) == (1, True)
        assert run("migrate", "--data-dir", tmp_path, cwd=tmp_path).returncode == 0
        assert old.post(prompt("second")).content == OK
        with Gateway(tmp_path) as new:
            assert new.post(prompt("third")).content == OK
            assert sorted(calls(old)) == sorted(calls(new)) == ["first", "second", "third"]
    with older(tmp_path, previous) as old:
        assert old.post(prompt("fourth")).content == OK
        assert sorted(calls(old)) == ["first", "fourth", "second", "third"]
