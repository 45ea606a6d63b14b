"""What a run says that it did, in a pytest of its own."""

import re

import pytest

TEST = "def test_one(): ...\ndef test_two(): assert False\n"


def test_a_run_prints_its_layers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its number of tests, whatever became of them, and with its seconds; and all of them together."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]")  # no other's, wherever temporary files are
    for layer, file in (("unit", "test_a"), ("unit", "test_b"), ("faults", "test_c")):
        directory = pytester.path / "tests" / layer
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{file}.py").write_text(TEST)
    reported = pytester.runpytest_inprocess("-p", "layers").stdout.str()
    assert dict(re.findall(r"^(\w+) +(\d+) tests +\d+ s$", reported, re.MULTILINE)) == {
        "unit": "4",
        "faults": "2",
        "together": "6",
    }
