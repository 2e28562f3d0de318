"""Puts the four folders into the wheel as `spokestream/...`; the links of a checkout do not survive an sdist."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("gadgets", "models", "pipelines", "simulator")
LARGEST_ARCHIVE = 5_000_000
"""Bytes of the largest network archive in the wheel. `spokestream.models.archives` says how to get larger ones."""


class FoldersUnderOneName(BuildHookInterface[Any]):
    """Adds the folders to the standard wheel; an editable install finds them through the links."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds."""
        if version != "standard":
            return
        root = Path(self.root)
        for path in (path for folder in FOLDERS for path in sorted((root / folder).rglob("*"))):
            is_large = path.suffix == ".pt" and path.stat().st_size > LARGEST_ARCHIVE
            if path.is_file() and not is_large and "__pycache__" not in path.parts:
                build_data["force_include"][str(path)] = f"spokestream/{path.relative_to(root)}"
