"""Checks of the server pods: as they run now, and as Bailie would make them. Pure. Called by `findings`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bailie.api import kinds
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.api.status import status_of, told_number
from bailie.manifests.artifact_volumes import RCLONE, patch_warnings
from bailie.manifests.checks import template_problems
from bailie.manifests.fences import Fence, forbidden
from bailie.manifests.objects import is_ours
from bailie.manifests.server import server_origin, server_workload
from bailie.migration.checks.configurations import bailies_homes, configurations
from bailie.migration.checks.resources import reference_to, some
from bailie.migration.facts import annotations_of, labels_of, name_of, spec_of
from bailie.migration.finding import PlanFinding, advice, blocker
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.scope.claim import TERM_ANNOTATION
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.migration.facts import MoveFacts, Object

_UNPULLED = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_AGENT = "agent"


def images(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields images that a machine of the cluster could not pull just now."""
    unpulled: dict[str, list[str]] = {}
    for pod in facts.here.all(kinds.POD):
        for state in _states(pod):
            waiting = (state.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _UNPULLED:
                unpulled.setdefault(str(state.get("image")), []).append(name_of(pod))
    for image, pods in unpulled.items():
        text = f"the image {image} of {some(pods)} cannot be pulled, nor could one of the second copy"
        remedy = f"kubectl describe pod {pods[0]} --namespace {facts.here.name}"
        yield blocker("image", f"Pod {facts.here.name}/{pods[0]}", text, remedy)


def deployments(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Servers that Seldon Core runs as Deployments, which no step can take over."""
    for server in facts.here.all(kinds.SERVER) if source in SELDON_SOURCES else ():
        found = facts.here.get(kinds.DEPLOYMENT, name_of(server))
        if found is not None and not is_ours(found):
            text = (
                "Seldon Core runs the Server as a Deployment, whose pods have no names that last: a move "
                "takes over StatefulSets alone"
            )
            remedy = (
                "set useDeploymentsForServers=false in Seldon Core's setup chart, and wait for the new pods"
            )
            yield blocker("deployment", reference_to(server), text, remedy)


def agents(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Servers with pods that have no agent, or whose agents do not speak to the central scheduler."""
    told = _agents_of_term(facts) if source is MoveSource.BAILIE_CENTRAL else None
    for server in facts.here.all(kinds.SERVER):
        name = name_of(server)
        pods = facts.here.pods_of(name)
        without = [name_of(pod) for pod in pods if _AGENT not in _containers(pod)]
        describe = f"kubectl describe pods --namespace {facts.here.name} -l {labels.SERVER}={name}"
        if without:
            text = f"the pods {some(without)} have no container {_AGENT}: no scheduler knows their models"
            yield blocker("agents", reference_to(server), text, describe)
        wanted = told_number(server, "replicas")
        if told is not None and told.get(name, 0) < wanted:
            text = (
                f"{told.get(name, 0)} of {wanted} agents are connected to the central scheduler; a hand-over "
                "keeps the models of connected agents only"
            )
            remedy = f"kubectl logs --namespace {facts.here.name} -l {labels.SERVER}={name} -c {_AGENT}"
            yield blocker("agents", reference_to(server), text, remedy)


def strays(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields pods that carry the label of a Server that does not exist."""
    servers = {name_of(each) for each in facts.here.all(kinds.SERVER)}
    for pod in facts.here.all(kinds.POD):
        server = labels_of(pod).get(labels.SERVER)
        if server and server not in servers:
            text = f"the pod carries the label of the Server {server}, which does not exist; no step moves it"
            remedy = f"kubectl delete pod {name_of(pod)} --namespace {facts.here.name}"
            yield advice("stray", f"Pod {facts.here.name}/{name_of(pod)}", text, remedy)


def templates(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields patches of pods that Bailie takes over, ignores or refuses; only where it does not run them
    yet."""
    if source not in SELDON_SOURCES:
        return
    configs = _configs(facts)
    for manifest in facts.here.all(kinds.SERVER):
        server, _ = Server.parse_without_status(manifest)
        if server is None:
            continue
        yield from _taken_over(manifest)
        config = configs.get(server.spec.server_config)
        base = config.spec.pod_spec if config is not None else {}
        for problem in patch_warnings(server.spec.pod_spec, base):
            remedy = f"kubectl explain server.spec.podSpec, and move it to the container {_AGENT}"
            yield advice("pod-patch", reference_to(manifest), str(problem), remedy)
        if config is not None:
            yield from _unfit(manifest, server, config)


def _taken_over(manifest: Object) -> Iterator[PlanFinding]:
    patches = (spec_of(manifest).get("podSpec") or {}).get("containers") or ()
    for patch in patches:
        taken = [field for field in ("volumeMounts", "env", "envFrom", "resources") if patch.get(field)]
        if patch.get("name") == RCLONE and taken:
            text = f"{', '.join(taken)} of the container {RCLONE} go to {_AGENT}, which downloads here"
            remedy = "nothing to do; the Server stays as it is"
            yield advice("pod-patch", reference_to(manifest), text, remedy)


def _unfit(manifest: Object, server: Server, config: ServerConfig) -> Iterator[PlanFinding]:
    workload = server_workload(server, config)
    edit = f"kubectl edit server {name_of(manifest)} --namespace {manifest['metadata']['namespace']}"
    for problem in template_problems(workload):
        yield blocker("pod-patch", reference_to(manifest), f"Bailie would refuse its pods: {problem}", edit)
    if refused := forbidden(workload, Fence(), server_origin(config)):
        yield blocker("pod-fence", reference_to(manifest), refused, edit)


def _configs(facts: MoveFacts) -> Mapping[str, ServerConfig]:
    """Returns the ServerConfigs that Bailie would use after a move, without those that have mistakes."""
    found = configurations(facts, kinds.SERVER_CONFIG, bailies_homes(facts)).values()
    parsed = (ServerConfig.parse_without_status(each)[0] for each in found)
    return {each.metadata.name: each for each in parsed if each is not None}


def _agents_of_term(facts: MoveFacts) -> dict[str, int] | None:
    """Returns the connected agents by Server, as the central scheduler's Lease tells; None where it tells
    nothing."""
    lease = facts.central.get(kinds.LEASE, names.SCHEDULER) if facts.central is not None else None
    if lease is None:
        return None
    try:
        told: Any = json.loads(annotations_of(lease)[TERM_ANNOTATION])
        mine = told["others"][facts.here.name]["agents"]
        return {str(server): int(count) for server, count in mine.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _states(pod: Object) -> Iterator[Mapping[str, Any]]:
    for field in ("initContainerStatuses", "containerStatuses"):
        yield from status_of(pod).get(field) or ()


def _containers(pod: Object) -> set[str]:
    return {str(each.get("name")) for each in spec_of(pod).get("containers") or ()}
