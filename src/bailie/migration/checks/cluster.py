"""Checks of the cluster: its version, the resource definitions, the rights of whoever runs the command. Pure.

Called by `findings`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from bailie.api.crd import crd_manifests
from bailie.api.texts import abridged
from bailie.doctor.facts import Unknown
from bailie.migration.facts import annotations_of
from bailie.migration.finding import PlanFinding, advice, blocker, quoted
from bailie.migration.source import SELDON_SOURCES
from bailie.scope.rights import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.doctor.facts import Known
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource
    from bailie.scope.rights import Right

OLDEST = (1, 30)
"""The oldest Kubernetes on which Bailie runs."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_POLICY = "helm.sh/resource-policy"
_CHART = "./charts/seldon-core-v2-crds"
_SHOWN = 4


def version(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields that the API server is too old."""
    found = _VERSION.match(facts.cluster.version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        text = f"the API server is {facts.cluster.version}; Bailie needs Kubernetes 1.30 or newer"
        yield blocker("version", facts.cluster.server, text, "upgrade the cluster first")


def definitions(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields definitions that are missing, older than ours, about to go, or that Helm would take with it."""
    present = facts.cluster.definitions
    if isinstance(present, Unknown):
        text = f"whether the resource definitions are up to date is not known: {present.why}"
        yield advice("definitions", "CustomResourceDefinitions", text, "bailie doctor shows the served kinds")
        return
    if lacking := sorted(_own_fields().keys() - present.keys()):
        text = f"the cluster lacks {len(lacking)} resource definitions"
        remedy = "bailie crds | kubectl apply --server-side -f -"
        yield blocker("definitions", ", ".join(lacking), text, remedy)
    for name, definition in present.items():
        if definition["metadata"].get("deletionTimestamp"):
            text = "the definition is being deleted, and every object of its kind with it"
            remedy = f"kubectl get customresourcedefinition {name} -o yaml, and restore it before a move"
            yield blocker("definitions", f"CustomResourceDefinition {name}", text, remedy)
    yield from _older(present, source)
    yield from _unkept(present)


def lacking_fields(present: Mapping[str, Object]) -> dict[str, list[str]]:
    """Returns the fields of Bailie's definitions that those of the cluster lack, by definition."""
    return {
        name: fields
        for name, definition in present.items()
        if (fields := sorted(_own_fields().get(name, frozenset()) - _fields(definition)))
    }


def _older(present: Mapping[str, Object], source: MoveSource) -> Iterator[PlanFinding]:
    lacking = lacking_fields(present)
    if not lacking:
        return
    shown = "; ".join(f"{name} lacks {abridged(fields, _SHOWN)}" for name, fields in sorted(lacking.items()))
    text = f"the definitions are not those of this version of Bailie: {shown}"
    if source in SELDON_SOURCES:
        text += "; the step that brings them up to date keeps every field of Seldon Core's"
    yield advice("definitions", "CustomResourceDefinitions", text, _upgrade(present))


def _unkept(present: Mapping[str, Object]) -> Iterator[PlanFinding]:
    taken: dict[tuple[str, str], list[str]] = {}
    for name, definition in present.items():
        notes = annotations_of(definition)
        if notes.get(_RELEASE) and notes.get(_POLICY) != "keep":
            owner = (quoted(notes.get(_RELEASE_NAMESPACE)), quoted(notes[_RELEASE]))
            taken.setdefault(owner, []).append(name)
    for (namespace, release), names in taken.items():
        text = (
            f"{len(names)} definitions belong to the Helm release {release} without a policy to keep them: "
            "`helm uninstall` of it deletes every Model of the cluster"
        )
        remedy = f"helm upgrade {release} {_CHART} --namespace {namespace}"
        yield advice("definitions-kept", f"Helm release {namespace}/{release}", text, remedy)


def _upgrade(present: Mapping[str, Object]) -> str:
    for definition in present.values():
        notes = annotations_of(definition)
        if notes.get(_RELEASE):
            release, namespace = quoted(notes[_RELEASE]), quoted(notes.get(_RELEASE_NAMESPACE))
            return f"helm upgrade {release} {_CHART} --namespace {namespace}"
    return "bailie crds | kubectl apply --server-side --force-conflicts -f -"


@cache
def _own_fields() -> dict[str, frozenset[str]]:
    return {str(each["metadata"]["name"]): _fields(each) for each in crd_manifests()}


def _fields(definition: Mapping[str, Any]) -> frozenset[str]:
    """Returns the fields of the spec that a definition knows, `spec.replicas`."""
    found: set[str] = set()
    for each in (definition.get("spec") or {}).get("versions") or ():
        schema = (each.get("schema") or {}).get("openAPIV3Schema") or {}
        spec = (schema.get("properties") or {}).get("spec") or {}
        found |= {f"spec.{name}" for name in spec.get("properties") or ()}
    return frozenset(found)


def rights(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields the rights that lack, and the kinds that could not be looked at for want of them."""
    yield from _rights_in(facts.here.name, facts.missing)
    if facts.central is not None:
        yield from _rights_in(facts.central.name, facts.missing_in_central)
    for namespace, missing in facts.missing_beside.items():
        yield from _rights_in(namespace, missing)
    if facts.here.unread:
        kinds = ", ".join(sorted(facts.here.unread))
        why = next(iter(facts.here.unread.values()))
        text = f"these kinds could not be read, so nothing is known of them: {kinds} ({why})"
        remedy = "run the plan with an account that may list them in this namespace"
        yield blocker("unread", f"Namespace {facts.here.name}", text, remedy)


def _rights_in(namespace: str, missing: Known[tuple[Right, ...]]) -> Iterator[PlanFinding]:
    if isinstance(missing, Unknown):
        text = f"whether this account has the rights for a move is not known: {missing.why}"
        remedy = f"kubectl auth can-i --list --namespace {namespace}"
        yield blocker("rights", f"Namespace {namespace}", text, remedy)
    elif missing:
        text = f"this account lacks rights that a move needs: {named(missing)}"
        remedy = (
            "run it as an administrator of the namespace: kubectl create rolebinding migration "
            f"--clusterrole admin --user USER --namespace {namespace}, and these rights on mlops.seldon.io"
        )
        yield blocker("rights", f"Namespace {namespace}", text, remedy)
