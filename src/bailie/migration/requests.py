"""The memory and the processors that pods request. Pure; asked by `read` and by the checks of room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.quantity import parse_quantity, parse_thousandths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENDED = frozenset({"Succeeded", "Failed"})


def memory_of(pod_spec: Mapping[str, Any]) -> int:
    """Returns the bytes that a pod requests."""
    return _requested(pod_spec, "memory", parse_quantity)


def processors_of(pod_spec: Mapping[str, Any]) -> int:
    """Returns the thousandths of a processor that a pod requests."""
    return _requested(pod_spec, "cpu", parse_thousandths)


def runs(pod: Mapping[str, Any]) -> bool:
    """Says whether a pod has not ended, so that its requests count."""
    return (pod.get("status") or {}).get("phase") not in _ENDED


def _requested(pod_spec: Mapping[str, Any], resource: str, read: Callable[[str], int]) -> int:
    """Returns the request of a pod's containers together, or of its largest init container.

    A container without a request asks for its limit, as Kubernetes does:
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """

    def of(container: Mapping[str, Any]) -> int:
        resources = container.get("resources") or {}
        given = ((resources.get(each) or {}).get(resource) for each in ("requests", "limits"))
        asked = next((each for each in given if each), None)
        return 0 if asked is None else read(str(asked))

    together = sum(map(of, pod_spec.get("containers") or ()))
    return max([together, *map(of, pod_spec.get("initContainers") or ())])
