"""Judges facts: one small function for each check, each finding with what to do. Pure.

Called by `bailie doctor` with the facts of `gather`. Where a fact is unknown the finding says so, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import MLOPS_KINDS, MLOPS_VERSION
from bailie.doctor.facts import Unknown, known
from bailie.doctor.finding import Finding, Level, error, ok, unknown, warning
from bailie.doctor.namespaces import examine_namespace
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.doctor.facts import Facts, InstallationView, SeldonOperator


def examine(facts: Facts) -> list[Finding]:
    """Returns every finding: the cluster's first, then each namespace's."""
    if facts.unreachable:
        remedy = "is it running, and is the kubeconfig the right one? `bailie status`, or --kubeconfig"
        why = facts.unreachable.removeprefix(f"{facts.server}: ")
        return [error("api", f"{facts.server} does not answer: {why}", remedy)]
    found = [ok("api", f"{facts.server} answers, {facts.version or 'version unknown'}")]
    found += _kinds(facts)
    for installation in known(facts.installations):
        found += _operator(installation)
    found += _no_operator(facts)
    found += _upstream(facts)
    for namespace in facts.namespaces:
        found += examine_namespace(facts, namespace)
    return found


def healthy(findings: Iterable[Finding]) -> bool:
    """Says whether nothing is wrong, as far as it could be known."""
    return all(finding.level is not Level.ERROR for finding in findings)


def _kinds(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.kinds, Unknown):
        yield unknown("crds", f"served kinds: {facts.kinds.why}")
        return
    served = facts.kinds.get(MLOPS_VERSION, ())
    lacking = [kind.plural for kind in MLOPS_KINDS if kind.plural not in served]
    remedy = (
        "install them: `bailie crds | kubectl apply --server-side -f -`, or the chart seldon-core-v2-crds"
    )
    if not facts.kinds:
        yield error("crds", "the API serves no kind of mlops.seldon.io", remedy)
    elif lacking:
        yield error("crds", f"mlops.seldon.io/{MLOPS_VERSION} lacks {', '.join(lacking)}", remedy)
    else:
        versions = ", ".join(sorted(facts.kinds))
        yield ok("crds", f"{len(MLOPS_KINDS)} kinds of mlops.seldon.io at {versions}")


def _operator(seen: InstallationView) -> Iterator[Finding]:
    home = seen.home
    if seen.unknown:
        yield unknown("operator", f"the operator in {home}: {seen.unknown}")
        return
    scope = "the whole cluster" if seen.listed is None else f"a list of {len(seen.listed)}"
    if seen.alive:
        yield ok("operator", f"{seen.name or home} is at work ({seen.leader}); its scope is {scope}", home)
    elif seen.alive is None:
        yield unknown("operator", f"whether the operator in {home} is at work may not be read here", home)
    else:
        text = f"no operator runs in {home}: running pods go on, new runtimes and servers are not made"
        remedy = f"kubectl get deployment,pods -n {home} -l {labels.NAME}={names.OPERATOR}"
        yield error("operator", text, remedy, home)
    if isinstance(seen.missing, Unknown):
        yield unknown("rights", f"the operator's rights in {home}: {seen.missing.why}", home)
    elif seen.missing:
        text = f"the operator in {home} may not {', '.join(seen.missing)} in its own namespace"
        yield error(
            "rights", text, f"helm upgrade its release in {home}: the setup chart makes its Role", home
        )
    for problem in seen.problems:
        remedy = (
            f"kubectl edit configmap {names.WATCH_LIST} -n {home}, or the chart's controller.watchNamespaces"
        )
        yield error("scope", problem, remedy, home)


def _no_operator(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.installations, Unknown):
        yield unknown("operator", f"operators could not be looked for: {facts.installations.why}")
    elif not facts.installations:
        where = ", ".join(each.home for each in known(facts.upstream))
        found = f"; Seldon Core's own is in {where}" if where else ""
        level = Level.WARNING if where else Level.ERROR
        remedy = "" if where else "install the chart seldon-core-v2-setup, or `bailie up` on a laptop"
        text = f"no operator of Bailie's is here (no ConfigMap {names.WATCH_LIST}){found}"
        yield Finding(check="operator", level=level, message=text, remedy=remedy)


def _upstream(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.upstream, Unknown):
        yield unknown("upstream", f"Seldon Core's own operator could not be looked for: {facts.upstream.why}")
        return
    for each in facts.upstream:
        yield _seldon_operator(each, beside_ours=bool(known(facts.installations)))


def _seldon_operator(seen: SeldonOperator, *, beside_ours: bool) -> Finding:
    place = seen.home
    text = f"Seldon Core's own operator is at work in {place}"
    if not seen.ready:
        text = f"Seldon Core's own operator in {place} has no ready pod, and acts again as soon as it has one"
    if beside_ours:
        remedy = f"take Bailie's namespaces from its watch list, or scale it to 0: kubectl scale -n {place} "
        remedy += f"deployment {names.OPERATOR} --replicas 0"
        return warning("upstream", f"{text}; it may act where Bailie does", remedy, place)
    if not seen.ready:
        return warning("upstream", text, f"kubectl describe deployment {names.OPERATOR} -n {place}", place)
    return ok("upstream", text, place)
