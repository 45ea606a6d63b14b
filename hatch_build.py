"""For the package's metadata: the project's addresses, and the README with links that work away from the repository."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)(\[[^]]*\])\((?!https?:|#)([^)]+)\)")


class ProjectMetadata(MetadataHookInterface):
    """Both follow from `repository` in pyproject.toml; while it is empty there are no addresses and links stay relative."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in what pyproject.toml calls dynamic."""
        repository, release = self.config["repository"].rstrip("/"), f"v{metadata['version']}"
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        if repository:
            text = absolute_links(text, repository, release)
            metadata["urls"] = {
                "Source": repository,
                "Documentation": f"{repository}/tree/{release}/docs",
                "Changelog": f"{repository}/blob/{release}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute_links(text: str, repository: str, release: str) -> str:
    """Return the Markdown `text` with links into the repository as it is at the tag `release`; images are its raw files."""
    return _RELATIVE.sub(
        lambda found: f"{found[1]}{found[2]}({repository}/{'raw' if found[1] else 'blob'}/{release}/{found[3]})", text
    )
