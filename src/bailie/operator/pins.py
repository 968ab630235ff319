"""Keeps the configuration of objects that do not follow its changes (`disableAutoUpdate`).

Called by the reconcilers. The configuration itself is held in memory, so that what it asked for can be
repaired; which one it was is written in the object's status, so that an operator that starts knows that a
change is pending, and touches nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.operator.cache import MissingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.client import Object

MARK = "bailie.io/config"
"""Annotation of a status: generation of the object and digest of the configuration it was served with."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The configuration to use. `pending`: the present one differs and waits.

    `frozen`: nobody knows any more what runs was made from, so nothing of it may be changed.
    """

    config: Object
    pending: bool = False
    frozen: bool = False


class Pins:
    """The configuration last used, by the uid of its user."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Object]] = {}

    def choose(self, manifest: Object, present: Object | MissingConfig) -> Choice | MissingConfig:
        """Returns the configuration that holds for the object, given the present one."""
        metadata = manifest["metadata"]
        if not (manifest.get("spec") or {}).get("disableAutoUpdate"):
            return present if isinstance(present, MissingConfig) else Choice(present)
        generation, kept = self._kept.get(metadata["uid"], (None, None))
        if kept is not None and generation == metadata.get("generation"):
            gone = isinstance(present, MissingConfig)
            return Choice(kept, pending=not gone and _digest(present) != _digest(kept))
        if isinstance(present, MissingConfig):
            return present
        pending = _is_pending(manifest, present)
        return Choice(present, pending=pending, frozen=pending)

    def keep(self, manifest: Object, config: Object) -> None:
        """Notes the configuration that is used for the object now."""
        metadata = manifest["metadata"]
        self._kept[metadata["uid"]] = (metadata.get("generation", 0), config)

    def forget(self, uid: str) -> None:
        """Drops what was kept for an object that is gone."""
        self._kept.pop(uid, None)


def marked(manifest: Object, config: Object) -> dict[str, Any]:
    """Returns the fields of the status that say which configuration is used."""
    before = (manifest.get("status") or {}).get("annotations") or {}
    return {"annotations": {**before, MARK: f"{manifest['metadata'].get('generation', 0)}/{_digest(config)}"}}


def _is_pending(manifest: Object, present: Object) -> bool:
    said = str(((manifest.get("status") or {}).get("annotations") or {}).get(MARK, ""))
    generation, _, digest = said.partition("/")
    return generation == str(manifest["metadata"].get("generation", 0)) and digest != _digest(present)


def _digest(config: Mapping[str, Any] | MissingConfig) -> str:
    spec = {} if isinstance(config, MissingConfig) else config.get("spec")
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
