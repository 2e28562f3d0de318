"""Puts the four folders into the wheel as `spokestream/...`; the links of a checkout do not survive an sdist."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("gadgets", "models", "pipelines", "simulator")


class FoldersUnderOneName(BuildHookInterface[Any]):
    """Adds the folders to the standard wheel; an editable install finds them through the links."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds."""
        if version == "standard":
            build_data["force_include"].update({folder: f"spokestream/{folder}" for folder in FOLDERS})
