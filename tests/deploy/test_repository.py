"""What contributors rely on: the version stands in one place, and the hook asks for a line in the changelog."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from runpy import run_path

import pytest
import yaml

TOP = Path(__file__).parents[2]
MAX_MODULE_LINES = 350
MAX_LOOSE_MODULES = 10
VERSION: str = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository that match."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=TOP, check=True, capture_output=True, text=True)
    return [TOP / name for name in listed.stdout.split("\0") if name]


def test_images_and_changelog_have_the_version_of_pyproject() -> None:
    """Whoever makes a release changes one line, and is told of the others that follow from it."""
    texts = {path: path.read_text() for path in tracked("deploy", "docs/*.md", "README*.md")}
    tags = {
        (path.name, tag) for path, text in texts.items() for tag in re.findall(r"\banswerback:(\d+\.\d+\.\d+)", text)
    }
    assert {name for name, _ in tags} >= {"Dockerfile", "compose.yaml", "deploy.md"}
    assert {tag for _, tag in tags} == {VERSION}
    assert f'image.version="{VERSION}"' in (TOP / "deploy/Dockerfile").read_text()
    versions = re.findall(r"^## \[([^]]+)\]", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] in {VERSION, "Unreleased"}
    assert VERSION in versions


def test_architecture_describes_the_tree() -> None:
    """Every package and top-level module is in docs/architecture.md, every path it names exists, its layers are the real ones."""
    text = (TOP / "docs/architecture.md").read_text()
    source = TOP / "src/answerback"
    packages = [f"{path.parent.name}/" for path in source.glob("*/**/__init__.py")]
    modules = [path.name for path in source.glob("*.py") if path.stem != "__main__"]
    assert [name for name in packages + modules if not re.search(rf"(?<![\w/]){re.escape(name)}", text)] == []
    paths = re.findall(r"`((?:\w[\w.-]*/)+[\w.-]*|\w+\.(?:py|toml))`", text)
    assert [path for path in paths if not any((base / path).exists() for base in (source, TOP))] == []
    config = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = " -> ".join(next(contract["layers"] for contract in config["contracts"] if contract["type"] == "layers"))
    assert layers in re.sub(r"\s+", " ", text)


def test_modules_are_of_a_size_to_be_read() -> None:
    """None is longer than can be read at a sitting, and few stand outside the packages."""
    source = TOP / "src/answerback"
    sizes = {str(path.relative_to(source)): len(path.read_text().splitlines()) for path in source.rglob("*.py")}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_MODULE_LINES} == {}
    loose = [path.stem for path in source.glob("*.py") if path.stem not in {"__init__", "__main__"}]
    assert len(loose) <= MAX_LOOSE_MODULES, sorted(loose)


@pytest.mark.parametrize(
    ("looking_for", "file", "found"),
    [
        ("a webhook is retried", "relay/retry_policy.py", "def decide_retry"),
        ("LISTEN and NOTIFY", "ledger/backends/postgresql/notifier.py", "LISTEN"),
        ("phone number is found in text and masked", "domain/phone_numbers.py", "def mask_number"),
        ("which fields are masked", "domain/masking.py", "def mask_json"),
    ],
)
def test_a_newcomer_finds_it_in_two_steps(looking_for: str, file: str, found: str) -> None:
    """README leads to docs/architecture.md, and its table to the module."""
    assert "(docs/architecture.md)" in (TOP / "README.md").read_text()
    rows = (TOP / "docs/architecture.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith("|") and looking_for in row]
    assert f"`{file}`" in row
    assert found in (TOP / "src/answerback" / file).read_text()


def test_the_package_links_to_its_release() -> None:
    """On the package's page a link of the README leads to the file as it is at the tag; README alone is shown there."""
    absolute_links = run_path(str(TOP / "hatch_build.py"))["absolute_links"]
    text: str = absolute_links((TOP / "README.md").read_text(), "https://forge.example/answerback", "v1.2.3")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert "https://forge.example/answerback/raw/v1.2.3/docs/console.png" in links
    files = [link.removeprefix("https://forge.example/answerback/") for link in links]
    names = [name.split("/", 2)[2] for name in files if not name.startswith("https:")]
    assert len(names) > 20
    assert [name for name in names if not (TOP / name).is_file()] == []


def test_hooks_are_local() -> None:
    """To commit takes nothing from another place, and each hook's program is in the virtual environment."""
    config = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    entries = [hook["entry"].split() for repo in config["repos"] for hook in repo["hooks"]]
    assert all((TOP / word).exists() for entry in entries for word in entry if "/" in word and ".venv" not in word)
    assert {Path(entry[0]).parts[:2] for entry in entries} == {(".venv", "bin")}


@pytest.mark.parametrize(
    ("files", "message", "passes"),
    [
        (["src/a.py"], "Mend it", False),
        (["src/a.py", "CHANGELOG.md"], "Mend it", True),
        (["deploy/compose.yaml"], "Mend it", False),
        (["src/a.py"], "Move it\n\nWhy.\n\nChangelog: none\n", True),
        (["tests/test_a.py"], "Test it", True),
    ],
)
def test_what_is_shipped_is_in_the_changelog(tmp_path: Path, files: list[str], message: str, *, passes: bool) -> None:
    """A commit that changes what users get says so in CHANGELOG.md, or that there is nothing to notice."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("new\n")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "message").write_text(message)
    hook = subprocess.run(
        [sys.executable, TOP / "tools/changelog.py", "message"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (hook.returncode == 0) == passes
    assert ("CHANGELOG.md" in hook.stderr) == (not passes)
