"""A hook of MkDocs: every decision is in the navigation, so that nobody has to list them in mkdocs.yml."""
# ruff: noqa: INP001  # loaded by its path

from pathlib import Path
from typing import Any


def on_config(config: dict[str, Any]) -> None:
    """Add the records behind the list of them."""
    decisions = config["nav"][-1]["Project"][-1]["Decisions"]
    decisions += sorted(f"decisions/{path.name}" for path in Path("docs/decisions").glob("0*.md"))
