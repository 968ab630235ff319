"""Keeps the configuration of objects that do not follow its changes (`disableAutoUpdate`).

Called by the reconcilers. The pinned configuration is kept in memory, so that its workloads can be repaired.
Its digest is written in the object's status, so that a restarted operator sees that a change of the
configuration is pending, and changes no workload.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SERVER_CONFIG
from bailie.api.status import status_of
from bailie.manifests.objects import carried
from bailie.operator.cache import MissingConfig
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.client import Object

MARK = labels.CONFIG
"""Annotation of a status: generation of the object and digest of the configuration it was served with."""


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """The configuration to use. `pending`: the present configuration differs and waits for the object.

    `frozen`: the pinned configuration was lost with an earlier process, so no workload may be changed.
    """

    config: Object
    pending: bool = False
    frozen: bool = False


class ConfigPins:
    """The configuration last used, by the uid of the object that uses it."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Object]] = {}

    def choose(self, manifest: Object, present: Object | MissingConfig) -> PinnedConfig | MissingConfig:
        """Returns the configuration to use for the object: the pinned or the present one."""
        metadata = manifest["metadata"]
        if not (manifest.get("spec") or {}).get("disableAutoUpdate"):
            return present if isinstance(present, MissingConfig) else PinnedConfig(present)
        generation, kept = self._kept.get(metadata["uid"], (None, None))
        if kept is not None and generation == metadata.get("generation"):
            gone = isinstance(present, MissingConfig)
            return PinnedConfig(kept, pending=not gone and _digest(present) != _digest(kept))
        if isinstance(present, MissingConfig):
            return present
        pending = _is_pending(manifest, present)
        return PinnedConfig(present, pending=pending, frozen=pending)

    def keep(self, manifest: Object, config: Object) -> None:
        """Pins the configuration that is used for the object now."""
        metadata = manifest["metadata"]
        self._kept[metadata["uid"]] = (metadata.get("generation", 0), config)

    def forget(self, uid: str) -> None:
        """Drops the configuration that was pinned for a deleted object."""
        self._kept.pop(uid, None)


def config_status(manifest: Object, config: Object) -> dict[str, Any]:
    """Returns the fields of the object's status that name the configuration in use."""
    before = _annotations(manifest)
    return {"annotations": {**before, MARK: f"{manifest['metadata'].get('generation', 0)}/{_digest(config)}"}}


def _is_pending(manifest: Object, present: Object) -> bool:
    said = str(_annotations(manifest).get(MARK, ""))
    generation, _, digest = said.partition("/")
    return generation == str(manifest["metadata"].get("generation", 0)) and digest != _digest(present)


def _annotations(manifest: Object) -> Mapping[str, Any]:
    """Returns the annotations of the object's status, which others may write, too."""
    found = status_of(manifest).get("annotations")
    return found if isinstance(found, dict) else {}


def _digest(config: Mapping[str, Any] | MissingConfig) -> str:
    content = {} if isinstance(config, MissingConfig) else _content(config)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _content(config: Mapping[str, Any]) -> Any:
    """Returns the part of a configuration that pods are made from."""
    metadata = config.get("metadata") or {}
    on_pods = [carried(metadata.get(name) or {}) for name in ("labels", "annotations")]
    if config.get("kind") != SERVER_CONFIG.kind or not any(on_pods):
        return config.get("spec")
    return [config.get("spec"), *on_pods]
