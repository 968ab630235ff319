"""The memory that pods request. Pure; asked by `read` and by the checks of room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDED = frozenset({"Succeeded", "Failed"})


def memory_of(pod_spec: Mapping[str, Any]) -> int:
    """Returns the bytes that a pod requests: its containers together, or its largest init container.

    A container without a request asks for its limit, as Kubernetes does:
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    together = sum(_requested(each) for each in pod_spec.get("containers") or ())
    return max([together, *(_requested(each) for each in pod_spec.get("initContainers") or ())])


def runs(pod: Mapping[str, Any]) -> bool:
    """Says whether a pod has not ended, so that its requests count."""
    return (pod.get("status") or {}).get("phase") not in _ENDED


def _requested(container: Mapping[str, Any]) -> int:
    resources = container.get("resources") or {}
    asked = (resources.get("requests") or {}).get("memory") or (resources.get("limits") or {}).get("memory")
    return 0 if asked is None else int(parse_quantity(str(asked)))
