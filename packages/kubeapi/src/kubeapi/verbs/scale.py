"""The scale subresource: an object's replicas seen and written as `autoscaling/v1` Scale.

Called by `http.handlers` with an authorised request.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubeapi import errors
from kubeapi.schemas import shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.registry.catalogue import Resource, Scale
    from kubeapi.registry.objects import Objects
    from kubeapi.registry.options import Place, WriteOptions
    from kubeapi.storage.store import Obj

_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Obj, resource: Resource) -> Obj:
    """Returns the Scale of a stored object.

    Raises:
        ApiError: the object does not say how many replicas it wants.
    """
    paths = _paths(resource)
    if _at(obj, paths.replicas) is None:
        path = "." + ".".join(paths.replicas)
        raise errors.internal(f'the spec replicas field "{path}" does not exist')
    return _scale(obj, paths)


def update(objects: Objects, place: Place, change: Callable[[Obj], Obj], options: WriteOptions) -> Obj:
    """Writes the replicas that `change` makes of the present Scale; returns the new Scale."""
    paths = _paths(place.resource)

    def apply(obj: Obj) -> Obj:
        wanted = change(_scale(obj, paths))
        shapes.check("Scale", shapes.SCALE, wanted)
        replicas = (wanted.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            raise errors.bad_request(f"spec.replicas {replicas!r} is not a number")
        revision = (wanted.get("metadata") or {}).get("resourceVersion")
        if revision:
            obj["metadata"]["resourceVersion"] = revision
        _put(obj, paths.replicas, replicas)
        return obj

    stored = objects.update(place, apply, replace(options, subresource="scale"))
    return _scale(stored, paths)


def _paths(resource: Resource) -> Scale:
    if resource.scale is None:
        raise errors.unknown_path()
    return resource.scale


def _scale(obj: Obj, paths: Scale) -> Obj:
    meta = obj["metadata"]
    status: Obj = {"replicas": _at(obj, paths.status_replicas) or 0}
    selector = _at(obj, paths.selector) if paths.selector else None
    if selector:
        status["selector"] = selector if isinstance(selector, str) else _selector_text(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: meta[field] for field in _IDENTITY if field in meta},
        "spec": {"replicas": _at(obj, paths.replicas) or 0},
        "status": status,
    }


def _selector_text(selector: Obj) -> str:
    """Returns the labels of a selector object in the form of a query."""
    return ",".join(f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return copy.deepcopy(found)


def _put(obj: Obj, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        obj = obj.setdefault(key, {})
    obj[path[-1]] = value
