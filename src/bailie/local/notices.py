"""Sentences for objects that the API of `bailie up` stores and on which nothing acts, or not as on a cluster.

Handed to the embedded API by `cli.processes`; clients get them as warnings when they write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.manifests.objects import is_ours
from bailie.workloads.node.pods import program_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Manifest = dict[str, Any]

_NOT_RUN = (
    "nothing here makes the pods of this {kind}: `bailie up` runs those of SeldonRuntimes and Servers; a"
    " program of your own can be a Pod whose container has a command"
)
_INERT = {
    "apps/deployments": _NOT_RUN,
    "apps/replicasets": _NOT_RUN,
    "apps/statefulsets": _NOT_RUN,
    "autoscaling/horizontalpodautoscalers": (
        "nothing scales here, so this {kind} has no effect: use `kubectl scale server NAME --replicas=N`"
    ),
    "networking.k8s.io/networkpolicies": (
        "nothing here enforces this {kind}: every process of this machine reaches every pod"
    ),
    "policy/poddisruptionbudgets": "no machine is drained here, so this {kind} has no effect",
    "/persistentvolumeclaims": (
        "no volume is bound here: a {kind} is a folder of this machine; size, class and access modes have no"
        " effect"
    ),
    "/services": (
        "nothing here listens at the address of this {kind}: `kubectl port-forward service/{name}` reaches"
        " its pods"
    ),
}
_PODS = "/pods"
_POD_SPECS = ("mlops.seldon.io/servers", "mlops.seldon.io/serverconfigs")


class Notices:
    """The warnings for a client that has written an object."""

    def __init__(self, programs: Mapping[str, str], *, own: Sequence[str]) -> None:
        """Takes titles of programs by the names of their images; `own` are the images of Bailie itself."""
        self._programs = programs
        self._own = own

    def __call__(self, key: str, manifest: Manifest) -> list[str]:
        """Returns the sentences for an object of the resource `group/plural`; none for Bailie's own."""
        if is_ours(manifest):
            return []
        spec = manifest.get("spec")
        if key in _POD_SPECS:
            return list(self._images(spec.get("podSpec") if isinstance(spec, dict) else None))
        if key == _PODS:
            return list(self._pod(manifest["metadata"]["name"], spec))
        said = _INERT.get(key)
        return [said.format(kind=manifest["kind"], name=manifest["metadata"]["name"])] if said else []

    def _pod(self, name: str, spec: object) -> Iterator[str]:
        """Says why a Pod of somebody's own does not start: `kubectl run -it` would wait a minute for it."""
        for container, image in self._not_run(spec):
            if program_name(image) not in self._programs:
                yield (
                    f'image "{image}" of container "{container}" stands for no program here, so it does not'
                    " start: give the container a command, as in"
                    f" `kubectl run {name} --image=none --command -- PROGRAM`"
                )

    def _images(self, spec: object) -> Iterator[str]:
        """Says which images are not run. The others stand for no program, which the Server's status says."""
        for container, image in self._not_run(spec):
            title = self._programs.get(program_name(image))
            if title:
                yield (
                    f'image "{image}" of container "{container}" is not run here:'
                    f" {title} of this machine stands for it"
                )

    def _not_run(self, spec: object) -> Iterator[tuple[str, str]]:
        """Yields the containers that have an image of somebody else's and no command: name and image."""
        containers = spec.get("containers") if isinstance(spec, dict) else None
        for container in containers if isinstance(containers, list) else ():
            image = container.get("image") if isinstance(container, dict) else None
            if isinstance(image, str) and image not in self._own and not container.get("command"):
                yield str(container.get("name")), image
