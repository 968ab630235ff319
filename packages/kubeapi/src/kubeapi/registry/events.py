"""Events in two versions: stored as `v1`, shown and accepted as `events.k8s.io/v1` too.

The catalogue hands these functions to the handlers. Pure; field names follow the conversion of Kubernetes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeapi.storage.store import Obj

# v1 name -> events.k8s.io/v1 name
_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_CORE_NAMES = {new: core for core, new in _NAMES.items()}


def to_new(event: Obj) -> Obj:
    """Returns a stored event as `events.k8s.io/v1`."""
    renamed = {_NAMES.get(key, key): value for key, value in event.items()}
    return renamed | {"apiVersion": "events.k8s.io/v1"}


def to_core(event: Obj) -> Obj:
    """Returns an `events.k8s.io/v1` event in the form in which it is stored."""
    renamed = {_CORE_NAMES.get(key, key): value for key, value in event.items()}
    return renamed | {"apiVersion": "v1"}
