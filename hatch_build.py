"""Puts what lies beside the packages into the wheel; a checkout reads it where it lies."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackagedData(BuildHookInterface[Any]):
    """Adds the schemas and the scenarios to a wheel, and nothing to an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the folders to include; an editable install would hold copies that go stale."""
        if version == "standard":
            build_data["force_include"] |= {
                "schemas": "ledger/_data/schemas",
                "scenarios": "ledger/_data/scenarios",
            }
