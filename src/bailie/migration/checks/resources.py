"""Checks of the resources: Models, Servers, runtimes, Pipelines, Experiments as Bailie would read them. Pure.

Called by `findings`. The rules are those by which a scheduler and an operator of Bailie's judge the same
objects later (`Resource.parse`); a plan only tells them beforehand.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.names import LONGEST_LABEL
from bailie.api.registry import parse
from bailie.api.resource import NO_EFFECT
from bailie.api.storage import REFUSED
from bailie.migration.checks.configurations import bailies_homes, configurations
from bailie.migration.facts import name_of, spec_of
from bailie.migration.finding import PlanFinding, advice, blocker, quoted
from bailie.migration.serving import SERVING, says_ready
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.api.problems import Problem
    from bailie.migration.facts import MoveFacts, Object

FINALIZERS = frozenset(f"seldon.{kind}.finalizer" for kind in ("model", "pipeline", "experiment", "runtime"))
"""The marks by which Seldon Core's operator holds a deletion up until it has acted."""
_OWN = (kinds.SELDON_RUNTIME, kinds.SERVER, kinds.MODEL, kinds.PIPELINE, kinds.EXPERIMENT)
_HASH = 11
"""Characters that Kubernetes adds to a StatefulSet's name in the label of a revision."""
_SHOWN = 4
_INDEX = re.compile(r"\[\d+\]")


def reference_to(item: Object) -> str:
    """Returns an object as findings name it: `Model a/iris`."""
    return f"{item['kind']} {item['metadata']['namespace']}/{name_of(item)}"


def contents(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields the mistakes for which Bailie would refuse an object."""
    for kind in _OWN:
        for item in facts.here.all(kind):
            for problem in parse(item)[1]:
                if problem.reason != NO_EFFECT:
                    yield _refused(item, problem)


def _refused(item: Object, problem: Problem) -> PlanFinding:
    plural = f"{item['kind'].lower()}s"
    place = f"--namespace {item['metadata']['namespace']}"
    if problem.path == "metadata.name":
        text = f"Bailie would refuse the name: {problem.message}"
        remedy = "make the object again under another name, and move its callers, before the move"
        return blocker("name", reference_to(item), text, remedy)
    check = "storage" if problem.reason == REFUSED else "spec"
    remedy = f"kubectl edit {plural} {name_of(item)} {place}"
    return blocker(check, reference_to(item), f"Bailie would refuse it: {problem}", remedy)


def without_effect(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001
    """Yields fields that nothing of Bailie's reads, each kind and field once."""
    found = sorted(
        (kind.kind, _INDEX.sub("[]", problem.path), problem.message, name_of(item))
        for kind in _OWN
        for item in facts.here.all(kind)
        for problem in parse(item)[1]
        if problem.reason == NO_EFFECT
    )
    for (kind_name, path), group in groupby(found, key=lambda row: row[:2]):
        rows = list(group)
        named = some(list(dict.fromkeys(row[3] for row in rows)))
        said = some(list(dict.fromkeys(row[2] for row in rows)))
        remedy = (
            f"kubectl explain {kind_name.lower()}.{path.partition('[')[0]}, and take it out if it misleads"
        )
        yield advice("no-effect", f"{kind_name} {facts.here.name}/{named}", f"{path}: {said}", remedy)


def without_gateway(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Pipelines whose gateways the SeldonRuntime leaves out.

    Bailie's operator makes the gateways of a namespace with Pipelines, unless the runtime says otherwise.
    """
    items, runtime = facts.here.all(kinds.PIPELINE), facts.here.runtime()
    if not items:
        return
    subject = f"{kinds.PIPELINE.kind} {facts.here.name}/{some([name_of(item) for item in items])}"
    gateways = facts.here.get(kinds.SERVER, names.PIPELINE_GATEWAY)
    if runtime is not None and gateways is None and _leaves_out(runtime, names.PIPELINE_GATEWAY):
        text = (
            f"the override of {names.PIPELINE_GATEWAY} leaves out the gateways that Bailie's pipelines run on"
        )
        remedy = f"kubectl edit seldonruntime {name_of(runtime)} --namespace {facts.here.name}"
        seldons = source in SELDON_SOURCES
        yield (blocker if seldons else advice)(
            "not-run", subject, text, f"{remedy}; take disable and replicas out"
        )


def deletions(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields objects that are being deleted, and finalizers of an operator that is to stop."""
    held: dict[str, list[str]] = {}
    for kind in _OWN:
        for item in facts.here.all(kind):
            finalizers = item["metadata"].get("finalizers") or ()
            if item["metadata"].get("deletionTimestamp"):
                marks = ", ".join(finalizers) or "none"
                text = (
                    f"the object is being deleted (finalizers: {marks}); a move would bring it back to life"
                )
                remedy = f"kubectl wait --for=delete {kind.plural}.{kind.group}/{name_of(item)} "
                yield blocker("deletion", reference_to(item), text, f"{remedy}--namespace {facts.here.name}")
            elif FINALIZERS & set(finalizers):
                held.setdefault(kind.kind, []).append(name_of(item))
    if held and source in SELDON_SOURCES:
        counted = ", ".join(f"{len(each)} {kind_name}s" for kind_name, each in held.items())
        text = f"{counted} carry finalizers of Seldon Core's operator; the end of the move takes them off"
        subject = f"Namespace {facts.here.name}"
        remedy = "delete none of them before the move has ended"
        yield advice("finalizers", subject, text, remedy)


def server_names(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001
    """Yields Servers whose name is too long for a StatefulSet's pods."""
    for server in facts.here.all(kinds.SERVER):
        name = name_of(server)
        if len(name) + _HASH > LONGEST_LABEL:
            text = (
                f"the name has {len(name)} characters; Kubernetes makes pods for at most "
                f"{LONGEST_LABEL - _HASH}, for it adds a revision to it in a label"
            )
            remedy = "make the Server again under a shorter name before the move"
            yield blocker("name", reference_to(server), text, remedy)


def references(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Models whose Secret or Server, and Servers whose ServerConfig, does not exist."""
    for model in facts.here.all(kinds.MODEL):
        secret, server = spec_of(model).get("secretName"), spec_of(model).get("server")
        if secret and _lacks(facts, kinds.SECRET, secret):
            text = f"the Secret {secret}, with which its artifact is fetched, does not exist"
            remedy = (
                f"make the Secret {quoted(secret)}, or take secretName out: kubectl edit models"
                f" {quoted(name_of(model))} --namespace {facts.here.name}"
            )
            yield blocker("secret", reference_to(model), text, remedy)
        if server and _lacks(facts, kinds.SERVER, server):
            text = f"the Model is for the Server {server}, which does not exist"
            remedy = (
                f"make the Server {quoted(server)}, or name another one: kubectl edit models"
                f" {quoted(name_of(model))} --namespace {facts.here.name}"
            )
            yield blocker("server", reference_to(model), text, remedy)
    yield from _configurations(facts, source)


def _configurations(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields objects whose configuration is neither here nor where the operator of after the move looks."""
    homes, runtime = (bailies_homes(facts) if source in SELDON_SOURCES else None), facts.here.runtime()
    found = {
        kind: configurations(facts, kind, homes or None)
        for kind in (kinds.SERVER_CONFIG, kinds.SELDON_CONFIG)
    }
    wanted = [(each, kinds.SERVER_CONFIG, "serverConfig") for each in facts.here.all(kinds.SERVER)]
    wanted += [(runtime, kinds.SELDON_CONFIG, "seldonConfig")] if runtime is not None else []
    for item, kind, field in wanted:
        config = spec_of(item).get(field)
        if config and config not in found[kind] and kind.kind not in facts.here.unread:
            text = f"the {kind.kind} {config} is neither in the namespace nor beside Bailie's operator"
            remedy = (
                f"kubectl get {kind.plural} --all-namespaces --field-selector metadata.name={quoted(config)}"
            )
            yield blocker("configuration", reference_to(item), text, remedy)


def runtimes(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that a namespace has several SeldonRuntimes, or Models that nothing serves."""
    found = facts.here.all(kinds.SELDON_RUNTIME)
    subject = f"Namespace {facts.here.name}"
    if len(found) > 1:
        others = some([name_of(each) for each in found if each is not facts.here.runtime()])
        text = f"the namespace has {len(found)} SeldonRuntimes; the oldest counts, {others} would do nothing"
        remedy = f"kubectl delete seldonruntime {others} --namespace {facts.here.name}"
        yield blocker("runtimes", subject, text, remedy)
    if not found and source is not MoveSource.NOTHING and facts.here.all(kinds.MODEL):
        text = "the namespace has no SeldonRuntime; the move makes one"
        remedy = f"kubectl get seldonruntimes --namespace {facts.here.name}"
        yield advice("runtimes", subject, text, remedy)


def left_out(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that the SeldonRuntime leaves the scheduler out, as Seldon Core's do behind a redirect."""
    runtime = facts.here.runtime()
    if runtime is None or source not in SELDON_SOURCES:
        return
    if _leaves_out(runtime, names.SCHEDULER):
        text = f"its override of {names.SCHEDULER} leaves the scheduler out; the move enables the scheduler"
        remedy = "in the values of its release, after the move: scheduler.replicas=1, scheduler.disable=false"
        yield advice("left-out", reference_to(runtime), text, remedy)


def _leaves_out(runtime: Object, component: str) -> bool:
    """Says whether an override of a SeldonRuntime leaves the component out."""
    overrides = spec_of(runtime).get("overrides") or ()
    own: Object = next((each for each in overrides if each.get("name") == component), {})
    return bool(own.get("disable")) or own.get("replicas") == 0


def readiness(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields objects that are not ready now: a move waits for none of them, and cannot show that they go
    on."""
    for kind in SERVING:
        there = facts.here.all(kind)
        idle = [name_of(each) for each in there if not says_ready(each)]
        if idle:
            text = f"{len(idle)} of {len(there)} {kind.kind}s are not ready before the move"
            remedy = f"bailie explain {kind.kind.lower()} {quoted(idle[0])} -n {facts.here.name}"
            yield advice("not-ready", f"{kind.kind} {facts.here.name}/{some(idle)}", text, remedy)


def _lacks(facts: MoveFacts, kind: Kind, name: str) -> bool:
    """Says whether an object certainly does not exist: its kind was read."""
    return kind.kind not in facts.here.unread and facts.here.get(kind, name) is None


def some(items: list[str]) -> str:
    """Returns some names, and that there are more: `a, b, c, d, …`."""
    return ", ".join([*items[:_SHOWN], "…"] if len(items) > _SHOWN else items)
