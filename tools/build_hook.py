"""Hatch build hook: generates `bailie._gen` before the package is built or installed editable."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface[Any]):
    """Runs `tools/protos.py` in the isolated build environment."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Generates the modules and the Envoy descriptor set; `version` is "standard" or "editable"."""
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        import protos  # noqa: PLC0415 - importable only once `tools` is on the path

        protos.generate(root)
