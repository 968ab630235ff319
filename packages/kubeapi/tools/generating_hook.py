"""Hatch build hook: generates `kubeapi._generated` where this distribution is built by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GeneratingBuildHook(BuildHookInterface[Any]):
    """Runs `tools/generate.py` in the isolated build environment."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Generates the files that are not committed; `version` is "standard" or "editable"."""
        root = Path(self.root)
        sys.path[:0] = [str(root / "tools"), str(root / "src")]
        import generate  # noqa: PLC0415 - importable only once these folders are on the path

        generate.generate(root)
