"""What becomes of a test that is skipped, in a pytest of its own."""

import pytest

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
    ("ci", "outcomes"),
    [("true", {"failed": 1, "skipped": 1, "xfailed": 1, "errors": 2}), ("false", {"skipped": 4, "xfailed": 1})],
)
def test_only_listed_reasons_skip_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcomes: dict[str, int]
) -> None:
    """A test, a marked test and a module that miss something fail with CI=true, and say why; elsewhere they are skipped."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]")  # no other's, wherever temporary files are
    pytester.makepyfile(
        test_some=TESTS, test_module="import pytest\npytest.skip('no such thing', allow_module_level=True)"
    )
    reported = pytester.runpytest_inprocess("-p", "skips", "--continue-on-collection-errors")
    reported.assert_outcomes(**outcomes)
    for reason in ("there is no nginx here", "not today", "no such thing"):
        assert (f"Skipped: {reason}\nWith CI=true this is a failure" in reported.stdout.str()) is (ci == "true")
