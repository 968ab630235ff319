"""Keeps the configuration of objects that do not follow its changes (`disableAutoUpdate`).

Called by the reconcilers. Held in memory: a restart of the operator, like a change of the object itself,
takes up the configuration as it then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailie.kube.client import Object


class Pins:
    """The configuration last used, by the uid of its user."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Object]] = {}

    def kept(self, manifest: Object) -> Object | None:
        """Returns the configuration to go on with, None where the present one holds."""
        metadata = manifest["metadata"]
        if not (manifest.get("spec") or {}).get("disableAutoUpdate"):
            return None
        generation, config = self._kept.get(metadata["uid"], (None, None))
        return config if generation == metadata.get("generation") else None

    def keep(self, manifest: Object, config: Object) -> None:
        """Notes the configuration that is used for the object now."""
        metadata = manifest["metadata"]
        self._kept[metadata["uid"]] = (metadata.get("generation", 0), config)

    def forget(self, uid: str) -> None:
        """Drops what was kept for an object that is gone."""
        self._kept.pop(uid, None)
