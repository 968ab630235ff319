"""Joins a PodSpec with its overrides, for Servers and runtime components.

Scalars and maps: the override wins. Lists: joined by the key in `_KEYS` where there is one, otherwise the
override's items come after the base's. A `command` is replaced, because half of two commands is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailie.manifests.workload import Manifest

_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
_DEEP = {"containers", "initContainers"}
"""Items joined field by field; in the other keyed lists the override's item stands for the base's."""
_REPLACED = {"command"}
_HANDLERS = {"httpGet", "tcpSocket", "exec", "grpc", "sleep"}
"""Of these an object may have only one (probes, lifecycle hooks)."""


def merge_pod_spec(base: Mapping[str, Any], override: Mapping[str, Any] | None) -> Manifest:
    """Returns `base` with `override` over it; neither is changed, nothing is shared with them."""
    return _merged(base, override or {})


def _merged(base: Mapping[str, Any], override: Mapping[str, Any]) -> Manifest:
    dropped = _HANDLERS - set(override) if _HANDLERS & set(override) else set()
    result = {key: _copied(value) for key, value in base.items() if key not in dropped}
    for key, value in override.items():
        result[key] = _joined(key, result[key], value) if key in result else _copied(value)
    return result


def _joined(key: str, base: Any, override: Any) -> Any:
    if isinstance(base, dict) and isinstance(override, dict):
        return _merged(base, override)
    if isinstance(base, list) and isinstance(override, list) and key not in _REPLACED:
        return _joined_lists(key, base, override)
    return _copied(override)


def _joined_lists(key: str, base: Sequence[Any], override: Sequence[Any]) -> list[Any]:
    name = _KEYS.get(key)
    if name is None or not all(_has_identity(item, name) for item in (*base, *override)):
        return [_copied(item) for item in (*base, *override)]
    result = {item[name]: _copied(item) for item in base}
    for item in override:
        deep = key in _DEEP and item[name] in result
        result[item[name]] = _merged(result[item[name]], item) if deep else _copied(item)
    return list(result.values())


def _has_identity(item: Any, name: str) -> bool:
    """Says whether an item has the merge key; a field unknown to Bailie may have a list of the same name."""
    return isinstance(item, dict) and isinstance(item.get(name), str | int)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
