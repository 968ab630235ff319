"""Hatch build hook: generates `kubeapi._generated` where this distribution is built by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GeneratingBuildHook(BuildHookInterface[Any]):
    """Runs `tools/generate.py` in the isolated build environment."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Generates what is not committed; `version` is "standard" or "editable"."""
        sys.path.insert(0, str(Path(self.root) / "tools"))
        import generate  # noqa: PLC0415 - importable only once `tools` is on the path

        generate.generate(Path(self.root))
