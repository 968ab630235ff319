"""Judges the facts of one namespace; `checks` calls it for each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.seldon_config import SCHEDULER
from bailie.api.texts import counted
from bailie.doctor.facts import Unknown, known
from bailie.doctor.finding import Finding, error, ok, unknown, warning
from bailie.scope.central import namespace_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bailie.doctor.facts import Facts, Known, NamespaceFacts, Thing

_SHOWN = 3
"""Things that are named one by one; the rest is counted."""


def examine_namespace(facts: Facts, seen: NamespaceFacts) -> list[Finding]:
    """Returns the findings of one namespace."""
    if seen.exists is False:
        waits = f"; {seen.home} waits for it" if seen.home else ""
        remedy = f"kubectl create namespace {seen.name}"
        if seen.home:
            remedy += f", or bailie scope remove {seen.name} --operator-namespace {seen.home}"
        return [error("namespace", f"there is no namespace {seen.name}{waits}", remedy, seen.name)]
    found: list[Finding] = []
    for check in _NAMESPACE_CHECKS:
        found += check(facts, seen)
    return found


def _claim(facts: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(seen.claim, Unknown):
        yield unknown("claim", f"who serves {seen.name}: {seen.claim.why}", seen.name)
        return
    if seen.claim is None or not seen.claim.fresh:
        yield from _unclaimed(facts, seen)
        return
    owner, since = seen.claim.claim.owner, seen.claim.claim.acquired
    if seen.home and owner.partition("/")[0] != seen.home:
        text = (
            f"{seen.name} is served by {owner} since {since}; the operator in {seen.home} has it in its list "
        )
        text += "too, and does not act there"
        remedy = f"take it from one of the lists: bailie scope remove {seen.name} --operator-namespace "
        yield error("claim", text, f"{remedy}{seen.home}", seen.name)
    else:
        yield ok("claim", f"{seen.name} is served by {owner} since {since}", seen.name)


def _unclaimed(facts: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    """Finds why a namespace is not served although an operator has it in its list; for others see
    `_models`."""
    if not seen.home:
        if seen.claim is None and not seen.upstream and not known(seen.models):
            yield ok("claim", f"no operator serves {seen.name}, and it has no Models", seen.name)
        return
    reason = str(seen.status.get("message") or "it has not looked at it yet")
    if seen.upstream:
        reason = seen.upstream
    text = f"the operator in {seen.home} has {seen.name} in its list and does not serve it: {reason}"
    running = next((each for each in known(facts.installations) if each.home == seen.home), None)
    if running is not None and running.alive is False:
        text = f"the claim on {seen.name} is not renewed: no operator runs in {seen.home}; running pods go on"
    remedy = "see the findings on its rights and on the operator"
    if seen.upstream:
        remedy = f"bailie scope remove {seen.name} --operator-namespace {seen.home}, then {_move(seen)}"
    yield error("claim", text, remedy, seen.name)


def _rights(_: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(seen.missing, Unknown):
        yield unknown("rights", f"rights in {seen.name}: {seen.missing.why}", seen.name)
        return
    if not seen.home:
        return
    remedy = f"bailie rbac {seen.name} --operator-namespace {seen.home} | kubectl apply -f -"
    if seen.status.get("reason") == "NoRights":
        text = f"the operator in {seen.home} has no rights in {seen.name}: no RoleBinding gives it a Role "
        text += "that is there"
        yield error("rights", text, remedy, seen.name)
    elif seen.missing:
        text = f"in {seen.name} the operator in {seen.home} may not {', '.join(seen.missing)}"
        yield error("rights", text, remedy, seen.name)
    else:
        yield ok("rights", f"the operator has all its rights in {seen.name}", seen.name)


def _redirects(_: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(seen.redirects, Unknown):
        yield unknown("redirect", f"Services of {seen.name}: {seen.redirects.why}", seen.name)
        return
    asked = {thing.scheduler_namespace for thing in known(seen.runtimes)}
    for redirect in seen.redirects:
        elsewhere = namespace_of(redirect.target)
        text = f"Service {seen.name}/{redirect.service} is an ExternalName: it leads to {redirect.target}"
        if elsewhere and elsewhere in asked:
            yield ok("redirect", f"{text}, as the SeldonRuntime asks for", seen.name)
            continue
        text += ", so this namespace depends on a scheduler outside of it"
        remedy = f"delete the Service to get a scheduler in {seen.name}, or say it in the SeldonRuntime "
        remedy += f"(spec.schedulerNamespace: {elsewhere or 'NAMESPACE'})"
        yield warning("redirect", text, remedy, seen.name)


def _scheduler(facts: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(seen.runtimes, Unknown):
        yield unknown("runtime", f"SeldonRuntimes of {seen.name}: {seen.runtimes.why}", seen.name)
        return
    yield from _things("runtime", "SeldonRuntime", seen, seen.runtimes)
    elsewhere = any(each.service == SCHEDULER for each in known(seen.redirects))
    if not seen.scheduled_from and (elsewhere or not any(each.has_scheduler for each in seen.runtimes)):
        return
    place = seen.scheduled_from or seen.name
    where = f"{place} for {seen.name}" if seen.scheduled_from else place
    upstream = seen.upstream or seen.upstream_scheduler or (seen.scheduled_from and known(facts.upstream))
    if isinstance(seen.term, Unknown):
        yield unknown("scheduler", f"the scheduler in {where}: {seen.term.why}", seen.name)
    elif seen.term is None and upstream:
        yield unknown("scheduler", f"Seldon Core's scheduler in {where} tells the API nothing", seen.name)
    elif seen.term is None or not seen.term.fresh or not seen.term.leader:
        text = f"no scheduler leads in {where}: requests are answered, nothing new is placed"
        remedy = f"kubectl get pods -n {place} -l {labels.NAME}={names.SCHEDULER}, and their logs"
        yield error("scheduler", text, remedy, seen.name)
    elif not seen.term.serves:
        text = f"the scheduler in {place} does not serve {seen.name}, which asks for it"
        remedy = (
            f"the SeldonRuntime of {place} must have {seen.name} in its spec.servesNamespaces, and one"
            " operator both namespaces in its list, with rights in both: bailie scope list"
        )
        yield error("scheduler", text, remedy, seen.name)
    else:
        yield ok("scheduler", f"{seen.term.leader} leads in {where}", seen.name)
        yield from _term(seen)


def _term(seen: NamespaceFacts) -> Iterator[Finding]:
    term = seen.term
    if term is None or isinstance(term, Unknown):
        return
    if not term.told:
        yield unknown("agents", f"the scheduler of {seen.name} says nothing of agents and Envoys", seen.name)
        return
    for server in known(seen.servers):
        connected = term.agents.get(server.name, 0)
        text = f"{connected} of {server.replicas} agents of Server {server.name} are connected"
        if connected >= server.replicas:
            yield ok("agents", text, seen.name)
        else:
            remedy = f"kubectl logs -n {seen.name} -l {labels.SERVER}={server.name} -c agent"
            yield error("agents", text, remedy, seen.name)
    if not any(runtime.has_envoy for runtime in known(seen.runtimes)):
        return
    if not term.published:
        text = (
            f"the scheduler has sent no routes of {seen.name} yet: it waits for agents that were there before"
        )
        yield warning("envoy", text, "look again in ten seconds", seen.name)
    elif term.acknowledged >= term.published:
        yield ok("envoy", f"every Envoy has the newest routes (revision {term.published})", seen.name)
    else:
        text = f"Envoy has routes of revision {term.acknowledged}, the scheduler is at {term.published}"
        remedy = f"kubectl logs -n {seen.name} -l {labels.NAME}={names.ENVOY}"
        yield warning(
            "envoy", text if term.acknowledged else f"no Envoy has routes in {seen.name}", remedy, seen.name
        )


def _servers(_: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    return _of_kind("servers", "Server", seen, seen.servers)


def _models(facts: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(seen.models, Unknown):
        yield from _of_kind("models", "Model", seen, seen.models)
    elif not seen.models:
        return
    elif _is_unserved(facts, seen):
        yield _unserved(facts, seen)
    elif not known(seen.runtimes) and not isinstance(seen.runtimes, Unknown):
        text = f"no scheduler serves the {counted(len(seen.models), 'Model')} of {seen.name} "
        text += f"({_names(seen.models)}): "
        remedy = f"helm install seldon-core-v2-runtime ./charts/seldon-core-v2-runtime -n {seen.name}"
        yield error("models", f"{text}the namespace has no SeldonRuntime", remedy, seen.name)
    else:
        yield from _things("models", "Model", seen, seen.models)


def _unserved(facts: Facts, seen: NamespaceFacts) -> Finding:
    """Leads to no second owner: a namespace of Seldon Core's is moved, and not added to a list."""
    found = known(seen.models)
    models = f"{counted(len(found), 'Model')} of {seen.name} ({_names(found)})"
    text = f"no operator serves the {models}: "
    if seen.upstream_scheduler:
        text += f"{seen.upstream_scheduler}, and no operator of Seldon Core's is seen at work"
        return error("models", text, f"start that operator again, or {_move(seen)}", seen.name)
    home = next((each.home for each in known(facts.installations)), "")
    remedy = f"bailie scope add {seen.name}" + (f" --operator-namespace {home}" if home else "")
    if isinstance(facts.upstream, Unknown):
        remedy += "; not where Seldon Core serves it, which could not be seen"
    return error("models", f"{text}the namespace is in no operator's list", remedy, seen.name)


def _move(seen: NamespaceFacts) -> str:
    return f"move the namespace to Bailie: bailie migrate plan {seen.name}"


def _pipelines(_: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    return _of_kind("pipelines", "Pipeline", seen, seen.pipelines)


def _experiments(_: Facts, seen: NamespaceFacts) -> Iterator[Finding]:
    return _of_kind("experiments", "Experiment", seen, seen.experiments)


def _is_unserved(facts: Facts, seen: NamespaceFacts) -> bool:
    """Says whether no operator that can be seen has the namespace, and none of Seldon Core's may have it."""
    if seen.home or seen.upstream or known(facts.upstream):
        return False
    if isinstance(seen.claim, Unknown) or (seen.claim is not None and seen.claim.fresh):
        return False
    whole = any(each.listed is None for each in known(facts.installations))
    return not whole


def _of_kind(
    check: str, kind: str, seen: NamespaceFacts, things: Known[Sequence[Thing]]
) -> Iterator[Finding]:
    if isinstance(things, Unknown):
        yield unknown(check, f"{kind}s of {seen.name}: {things.why}", seen.name)
    else:
        yield from _things(check, kind, seen, things)


def _things(check: str, kind: str, seen: NamespaceFacts, things: Sequence[Thing]) -> Iterator[Finding]:
    """Says of each thing that is not ready why, of the others that they are, and what else they ask for."""
    ready = [each for each in things if each.ready and each.current]
    if ready:
        verb = "is" if len(ready) == 1 else "are"
        yield ok(
            check, f"{counted(len(ready), kind)} of {seen.name} {verb} ready: {_names(ready)}", seen.name
        )
    waiting = [each for each in things if each not in ready]
    for thing in waiting[:_SHOWN]:
        why = thing.message or "its controller has not reported on it yet"
        text = f"{kind} {seen.name}/{thing.name} is not ready: {why}"
        yield error(check, text, _remedy(kind, thing, seen), seen.name)
    if len(waiting) > _SHOWN:
        text = f"{len(waiting) - _SHOWN} more {kind}s of {seen.name} are not ready"
        yield error(check, text, f"bailie get {kind.lower()}s -n {seen.name}", seen.name)
    yield from _concerns(check, kind, seen, ready if kind == "Model" else things)


def _concerns(check: str, kind: str, seen: NamespaceFacts, things: Sequence[Thing]) -> Iterator[Finding]:
    """Says the conditions beside `Ready` that somebody has to act on. Of a Model that is not ready they only
    say the same again."""
    found = [(thing, concern) for thing in things for concern in thing.concerns]
    for thing, concern in found[:_SHOWN]:
        text = f"{kind} {seen.name}/{thing.name}, {concern}"
        yield warning(check, text, _remedy(kind, thing, seen), seen.name)
    if len(found) > _SHOWN:
        text = f"{len(found) - _SHOWN} more conditions of {kind}s of {seen.name} ask for an action"
        yield warning(check, text, f"kubectl describe {kind.lower()}s -n {seen.name}", seen.name)


def _remedy(kind: str, thing: Thing, seen: NamespaceFacts) -> str:
    if kind != "SeldonRuntime":
        return f"bailie explain {kind.lower()} {thing.name} -n {seen.name}"
    return f"kubectl describe {kind.lower()} {thing.name} -n {seen.name}"


_NAMESPACE_CHECKS: tuple[Callable[[Facts, NamespaceFacts], Iterator[Finding]], ...] = (
    _claim,
    _rights,
    _redirects,
    _scheduler,
    _servers,
    _models,
    _pipelines,
    _experiments,
)


def _names(things: Sequence[Thing]) -> str:
    names = [thing.name for thing in things[:_SHOWN]]
    return ", ".join([*names, "…"] if len(things) > _SHOWN else names)
