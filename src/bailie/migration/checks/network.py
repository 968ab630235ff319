"""Checks of the Services by which callers, agents and Envoys find each other. Pure. Called by `findings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.texts import shown
from bailie.migration.checks.resources import reference_to
from bailie.migration.facts import labels_of, name_of, spec_of
from bailie.migration.finding import PlanFinding, advice, blocker
from bailie.migration.record import mesh_namespace
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.scope.central import ANY, namespace_of, served_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object

_EXTERNAL = "ExternalName"
_SELECTOR = {labels.NAME: names.ENVOY}
"""How both systems find the Envoys of a namespace."""
_PORT = 80


def scheduler_redirect(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001
    """Yields an ExternalName Service of the scheduler's name that leads nowhere."""
    service = facts.here.get(kinds.SERVICE, names.SCHEDULER)
    if service is None or spec_of(service).get("type") != _EXTERNAL:
        return
    target = shown(str(spec_of(service).get("externalName") or ""))
    remedy = f"kubectl get service {names.SCHEDULER} --namespace {facts.here.name} -o yaml"
    if not namespace_of(target):
        text = f"it leads to {target}, which is no {names.SCHEDULER}.NAMESPACE of this cluster"
        yield blocker("redirect", reference_to(service), text, remedy)
    elif facts.central is not None and facts.central.namespace is None:
        text = f"it leads to {target}, and there is no namespace {facts.central.name}"
        yield blocker("redirect", reference_to(service), text, remedy)
    elif facts.central is not None and _has_no_scheduler(facts.central):
        text = f"it leads to {target}, and {facts.central.name} has no Service {names.SCHEDULER}"
        yield blocker("redirect", reference_to(service), text, remedy)


def _has_no_scheduler(central: NamespaceObjects) -> bool:
    return kinds.SERVICE.kind not in central.unread and central.get(kinds.SERVICE, names.SCHEDULER) is None


def central_consent(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that the central SeldonRuntime is not there, or does not let this namespace be served."""
    if source is not MoveSource.BAILIE_CENTRAL or facts.central is None:
        return
    runtime = facts.central.runtime()
    there = facts.central.name
    if facts.central.namespace is None or runtime is None:
        text = f"the central namespace {there} has no SeldonRuntime, so no scheduler hands the namespace over"
        remedy = f"kubectl get seldonruntimes --namespace {there}"
        yield blocker("central", f"Namespace {there}", text, remedy)
    elif facts.here.name not in served_of(runtime) and ANY not in served_of(runtime):
        text = f"its servesNamespaces does not name {facts.here.name}, so its scheduler does not serve it"
        remedy = f"kubectl edit seldonruntime {name_of(runtime)} --namespace {there}"
        yield advice("central", reference_to(runtime), text, remedy)


def mesh(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields surprises of the Service that callers use."""
    if source in {MoveSource.MOVED, MoveSource.NOTHING}:
        return
    service, place = facts.here.get(kinds.SERVICE, names.MESH), facts.here.name
    look = f"kubectl get service {names.MESH} --namespace {place} -o yaml"
    if service is None:
        if kinds.SERVICE.kind not in facts.here.unread:
            text = f"there is no Service {names.MESH}: callers ask elsewhere, and no step changes them"
            remedy = f"after the move lead callers to {names.MESH}.{place}, port {_PORT}"
            yield advice("mesh", f"Service {place}/{names.MESH}", text, remedy)
    elif spec_of(service).get("type") == _EXTERNAL:
        yield _elsewhere(service, source, place)
    elif not spec_of(service).get("selector"):
        text = (
            "it has no selector: its endpoints are made by hand, and the new Envoys would not be among them"
        )
        yield blocker("mesh", reference_to(service), text, look)
    elif spec_of(service)["selector"] != _SELECTOR:
        found = ", ".join(f"{key}={value}" for key, value in spec_of(service)["selector"].items())
        text = f"its selector is {found}, by which the new Envoys ({labels.NAME}={names.ENVOY}) are not found"
        yield blocker(
            "mesh", reference_to(service), text, look.replace("get", "edit").removesuffix(" -o yaml")
        )
    else:
        yield from _answers(facts, service)


def _elsewhere(service: Object, source: MoveSource, place: str) -> PlanFinding:
    target = shown(str(spec_of(service).get("externalName") or ""))
    if source not in SELDON_SOURCES:
        text = f"it is an ExternalName of {target}: callers leave the namespace, and would after the move"
        remedy = f"kubectl delete service {names.MESH} --namespace {place}, once the new Envoys are ready"
        return advice("mesh", reference_to(service), text, remedy)
    if not mesh_namespace(target):
        text = f"it is an ExternalName of {target}, which is no {names.MESH}.NAMESPACE of this cluster"
        remedy = f"kubectl get service {names.MESH} --namespace {place} -o yaml"
        return blocker("mesh", reference_to(service), text, remedy)
    text = (
        f"it is an ExternalName of {target}: the step leave leads it to Bailie's Envoys here. Callers who "
        "keep a connection to the other mesh, or ask it by its own name, get no answer from finish on"
    )
    remedy = f"have such callers ask {names.MESH}.{place} anew before finish"
    return advice("mesh", reference_to(service), text, remedy)


def _answers(facts: MoveFacts, service: Object) -> Iterator[PlanFinding]:
    slices = [
        each
        for each in facts.here.all(kinds.ENDPOINT_SLICE)
        if labels_of(each).get("kubernetes.io/service-name") == names.MESH
    ]
    ready = [
        endpoint
        for each in slices
        for endpoint in each.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    if slices and not ready:
        text = "it has no endpoint that is ready: callers get no answer before the move either"
        remedy = f"kubectl get pods --namespace {facts.here.name} -l {labels.NAME}={names.ENVOY}"
        yield advice("mesh", reference_to(service), text, remedy)
    ports = {port.get("port") for port in spec_of(service).get("ports") or ()}
    if _PORT not in ports:
        text = f"it has no port {_PORT}; Bailie's operator would give it that port beside its own"
        remedy = f"kubectl get service {names.MESH} --namespace {facts.here.name} -o yaml"
        yield advice("mesh", reference_to(service), text, remedy)
