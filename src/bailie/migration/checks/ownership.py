"""Checks of whoever else writes the objects that a move changes: GitOps tools and Helm releases. Pure.

Called by `findings`. Of Helm releases only the labels of their Secrets are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.migration.checks.resources import reference_to, some
from bailie.migration.facts import annotations_of, labels_of
from bailie.migration.finding import PlanFinding, advice, blocker, quoted
from bailie.migration.source import SELDON_SOURCES, MoveSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.facts import MoveFacts, Object

_CHANGED = (kinds.SELDON_RUNTIME, kinds.SERVICE, kinds.ROLE, kinds.ROLE_BINDING, kinds.CONFIG_MAP)
"""Kinds whose objects every move changes."""
_CHANGED_IN_PLACE = (kinds.SERVER, kinds.STATEFUL_SET, kinds.DEPLOYMENT)
"""Further ones where Seldon Core serves the namespace."""
_RELEASE = "meta.helm.sh/release-name"
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")


def gitops(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields the tools that would put changed objects back, with their objects."""
    if source in {MoveSource.MOVED, MoveSource.NOTHING}:
        return
    found: dict[tuple[str, str], list[str]] = {}
    for kind in (*_CHANGED, *(_CHANGED_IN_PLACE if source in SELDON_SOURCES else ())):
        for item in facts.here.all(kind):
            if owner := tool_of(item):
                found.setdefault(owner, []).append(reference_to(item))
    for (tool, suspend), items in found.items():
        text = f"{tool} puts back what the move changes in {some(items)}"
        remedy = f"{suspend}, and carry the changes into its repository"
        yield blocker("gitops", items[0], text, remedy)


def tool_of(item: Object) -> tuple[str, str] | None:
    """Returns the GitOps tool that has an object, and the command that suspends it; None where none has it.

    Marks: https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/ and
    https://fluxcd.io/flux/components/kustomize/kustomizations/.
    """
    marks, notes = labels_of(item), annotations_of(item)
    tracked = notes.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
    if application := tracked or marks.get("argocd.argoproj.io/instance", ""):
        name = quoted(application)
        return f"Argo CD's application {name}", f"argocd app set {name} --sync-policy none"
    for group, noun in (("kustomize", "kustomization"), ("helm", "helmrelease")):
        if owner := marks.get(f"{group}.toolkit.fluxcd.io/name"):
            place = marks.get(f"{group}.toolkit.fluxcd.io/namespace") or item["metadata"]["namespace"]
            return f"Flux's {noun} {owner}", f"flux suspend {noun} {owner} --namespace {place}"
    return None


def releases(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Helm releases in the middle of a change, and those that the move takes over."""
    place = facts.here.name
    for name, (revision, state) in sorted(newest_releases(facts).items()):
        if state in _PENDING:
            text = f"revision {revision} is {state}: Helm refuses further changes of the release"
            remedy = f"helm rollback {name} --namespace {place}, or wait for the command that runs"
            yield blocker("release", f"Helm release {place}/{name}", text, remedy)
    if source not in SELDON_SOURCES:
        return
    owners: dict[str, list[str]] = {}
    for kind in (kinds.SELDON_RUNTIME, kinds.SERVER):
        for item in facts.here.all(kind):
            if release := annotations_of(item).get(_RELEASE):
                owners.setdefault(quoted(release), []).append(reference_to(item))
    for release, items in owners.items():
        text = f"the release has {some(items)}: `helm uninstall` of it would delete them"
        remedy = (
            "do not uninstall it; `finish` has Helm forget it and its values, which are told before by "
            f"helm get values {release} --namespace {place} --output yaml"
        )
        yield advice("release", f"Helm release {place}/{release}", text, remedy)


def newest_releases(facts: MoveFacts) -> dict[str, tuple[int, str]]:
    """Returns the newest revision of each Helm release of the namespace, and its state."""
    found: dict[str, tuple[int, str]] = {}
    for secret in facts.here.all(kinds.SECRET):
        marks = labels_of(secret)
        if marks.get("owner") == "helm" and marks.get("version", "").isdigit():
            seen = (int(marks["version"]), marks.get("status", ""))
            found[marks.get("name", "")] = max(found.get(marks.get("name", ""), (0, "")), seen)
    return found
