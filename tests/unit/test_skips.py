"""What becomes of a test that is skipped, in a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import skips

TESTS = """
import pytest

def test_without_a_tool():
    pytest.skip("there is no nginx here")

@pytest.mark.skipif(True, reason="not today")
def test_marked(): ...

@pytest.fixture
def place():
    pytest.skip("SKIPPED FAULT: only root may mount a small file system")

def test_without_a_right(place): ...

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "summary"),
    [("true", "1 failed, 1 skipped, 1 xfailed, 2 errors"), ("false", "4 skipped, 1 xfailed")],
)
def test_only_listed_reasons_skip_in_ci(tmp_path: Path, ci: str, summary: str) -> None:
    """A test, a marked test and a module that miss something fail with CI=true, and say why; elsewhere they are skipped."""
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.skip('no such thing', allow_module_level=True)\n")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", "--continue-on-collection-errors"],
        cwd=tmp_path,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(Path(skips.__file__).parent), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    assert summary in told
    for reason in ("there is no nginx here", "not today", "no such thing"):
        assert (f"Skipped: {reason}\nWith CI=true this is a failure" in told) is (ci == "true")
