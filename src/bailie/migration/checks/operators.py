"""Checks of the operators: Bailie's that is to serve the namespace, and any other that acts there. Pure.

Called by `findings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import LEASE
from bailie.doctor.facts import Unknown, known
from bailie.migration.finding import PlanFinding, advice, blocker, quoted
from bailie.migration.foreign import foreign_operators
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.scope.claim import CLAIM_LEASE, claim_of
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.doctor.facts import InstallationView
    from bailie.migration.facts import MoveFacts
    from bailie.migration.foreign import ForeignOperator

_INSTALL = (
    f"helm install seldon-core-v2-setup ./charts/seldon-core-v2-setup --namespace {names.LOCAL_NAMESPACE} "
    f'--create-namespace --set controller.watchNamespaces="{{{names.LOCAL_NAMESPACE}}}"'
)


def home_of(facts: MoveFacts) -> InstallationView | None:
    """Returns Bailie's operator for the namespace: the claim's, the one that lists it, or the only one."""
    views: tuple[InstallationView, ...] = tuple(known(facts.cluster.installations))
    owner = _owner(facts)
    own = [each for each in views if owner and each.home == owner.partition("/")[0]]
    listing = [each for each in views if facts.here.name in (each.listed or ())]
    return next(iter((*own, *listing)), views[0] if len(views) == 1 else None)


def own_operator(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields that Bailie's operator is not there, not at work, not the only one, or lacks rights."""
    subject = f"Namespace {facts.here.name}"
    if isinstance(facts.cluster.installations, Unknown):
        text = f"whether Bailie's operator is installed is not known: {facts.cluster.installations.why}"
        yield blocker("operator", subject, text, "run the plan with an account that may list ConfigMaps")
        return
    home = home_of(facts)
    if home is not None:
        yield from _fitness(facts, home, source)
    elif not facts.cluster.installations:
        text = "no operator of Bailie's is installed, so nobody would serve the namespace"
        yield blocker("operator", subject, text, _INSTALL)
    else:
        homes = ", ".join(each.home for each in facts.cluster.installations)
        text = (
            f"several operators of Bailie's are installed ({homes}), and none has the namespace in its list"
        )
        remedy = f"bailie scope add {facts.here.name} --operator-namespace {homes.split(', ')[0]}"
        yield advice("operator", subject, text, remedy)


def _fitness(facts: MoveFacts, home: InstallationView, source: MoveSource) -> Iterator[PlanFinding]:
    subject = f"Deployment {home.home}/{names.OPERATOR}"
    if home.alive is False:
        text = f"Bailie's operator in {home.home} is not at work"
        remedy = f"kubectl get deployment,pods --namespace {home.home}"
        yield blocker("operator", subject, text, remedy)
    places = [facts.here.name]
    if source is MoveSource.BAILIE_CENTRAL and facts.central is not None:
        places.append(facts.central.name)
    for place in places:
        status = home.statuses.get(place) or {}
        if status.get("missing"):
            lacking = ", ".join(str(each) for each in status["missing"])
            text = f"Bailie's operator may not {lacking} in {place}"
            remedy = (
                f"bailie rbac {place} --operator-namespace {home.home} | kubectl apply --server-side -f -"
            )
            yield blocker("operator-rights", subject, text, remedy)
        if source is MoveSource.BAILIE_CENTRAL and home.listed is not None and place not in home.listed:
            text = f"Bailie's operator in {home.home} does not have {place} in its list"
            yield blocker(
                "operator-list", subject, text, f"bailie scope add {place} --operator-namespace {home.home}"
            )


def claims(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:  # noqa: ARG001 - as all checks
    """Yields that two installations of Bailie's want the namespace."""
    owner = _owner(facts)
    subject = f"Lease {facts.here.name}/{CLAIM_LEASE}"
    listing = [
        each.home for each in known(facts.cluster.installations) if facts.here.name in (each.listed or ())
    ]
    for home in listing:
        if owner and owner.partition("/")[0] != home:
            text = f"the namespace is claimed by {owner}, and the operator in {home} has it in its list, too"
            remedy = f"bailie scope remove {facts.here.name} --operator-namespace {home}"
            yield blocker("claim", subject, text, remedy)
    if not owner and len(listing) > 1:
        text = f"the operators in {', '.join(listing)} all have the namespace in their lists"
        remedy = f"bailie scope remove {facts.here.name} --operator-namespace {listing[-1]}"
        yield blocker("claim", subject, text, remedy)


def foreign(facts: MoveFacts, source: MoveSource) -> Iterator[PlanFinding]:
    """Yields Seldon Core's operators that act in the namespace."""
    if isinstance(facts.cluster.upstream, Unknown):
        text = f"operators of Seldon Core's in other namespaces cannot be seen: {facts.cluster.upstream.why}"
        remedy = "run the plan with an account that may list Deployments in all namespaces"
        make = blocker if source in SELDON_SOURCES else advice
        yield make("foreign-operator", f"Namespace {facts.here.name}", text, remedy)
    for operator in foreign_operators(facts):
        if operator.at_work and operator.covers(facts.here.name):
            yield _acting(operator, facts.here.name, source)


def _acting(operator: ForeignOperator, namespace: str, source: MoveSource) -> PlanFinding:
    subject = f"Deployment {operator.home}/{names.OPERATOR}"
    stop = f"kubectl scale deployment {names.OPERATOR} --replicas 0 --namespace {operator.home}"
    its = f"Seldon Core's operator in {operator.home}"
    if not operator.told:
        text = f"which namespaces {its} serves cannot be told from its flags; it may act in {namespace}"
        return blocker("foreign-operator", subject, text, stop)
    if source not in SELDON_SOURCES:
        text = f"{its} serves {namespace} as Bailie's does"
        return blocker("foreign-operator", subject, text, stop)
    if namespace == operator.home:
        text = f"{its} always serves its own namespace: the move stops it"
        return advice("foreign-operator", subject, text, f"apply does it: {stop}")
    if operator.namespaces is None:
        text = f"{its} serves the whole cluster: the move gives it a list (2.9.1 and newer) of the other "
        text += "namespaces with a SeldonRuntime, or stops it where there is none"
    else:
        text = f"{its} has {namespace} in its list: the move shortens it, or stops it where no other is left"
    remedy = f"tell its release the same: {_shortening(operator, namespace)}, or {stop}"
    return advice("foreign-operator", subject, text, remedy)


def _shortening(operator: ForeignOperator, namespace: str) -> str:
    """Returns the command that takes the namespace away. An empty list would mean the whole cluster."""
    command = f"helm upgrade {quoted(operator.release or 'RELEASE')} seldon-charts/seldon-core-v2-setup"
    command += f" --namespace {operator.home} --reuse-values"
    if operator.namespaces is None:
        left = "NAMESPACES-THAT-STAY"
    else:
        left = ",".join(sorted(operator.namespaces - {namespace, operator.home}))
    if not left:
        return f"{command} --set controller.clusterwide=false --set controller.watchNamespaces=null"
    return f'{command} --set controller.clusterwide=true --set controller.watchNamespaces="{{{left}}}"'


def _owner(facts: MoveFacts) -> str:
    lease = facts.here.get(LEASE, CLAIM_LEASE)
    return claim_of(lease).owner if lease is not None else ""
