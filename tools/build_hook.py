"""Hatch build hook: generates `bailie._gen` and `kubeapi._generated` before the package is built."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface[Any]):
    """Runs `tools/protos.py` and the generator of the embedded API in the isolated build environment."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Generates what is not committed; `version` is "standard" or "editable"."""
        root = Path(self.root)
        kubeapi = root / "packages" / "kubeapi"
        sys.path[:0] = [str(root / "tools"), str(kubeapi / "tools"), str(kubeapi / "src")]
        import generate  # noqa: PLC0415 - importable only once these folders are on the path
        import protos  # noqa: PLC0415

        protos.generate(root)
        generate.generate(kubeapi)
