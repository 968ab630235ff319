"""Seldon Core's operator as its Deployment shows it: its namespaces, and whether it is at work. Pure.

Checks ask it, and a move does before it begins and between its steps. The operator reads its list from
two variables or flags, once when it starts; the list has an effect only with `--clusterwide`, and its own
namespace always belongs to it.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import DEPLOYMENT
from bailie.api.names import is_dns_label
from bailie.doctor.facts import known
from bailie.scope.claim import is_upstream_operator, ready_pods, wanted_pods
from bailie.wellknown.labels import LET_GO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.migration.facts import MoveFacts, Object

_LIST = "watch-namespaces"
_TRUE = frozenset({"true", "t", "1"})
_FALSE = frozenset({"false", "f", "0", ""})
_REFERENCE = re.compile(r"\$\((\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOperator:
    """One operator of Seldon Core's."""

    home: str
    namespaces: frozenset[str] | None
    """The namespaces that it serves; None for all of the cluster, and where that cannot be told."""
    told: bool = True
    """False where the Deployment does not say which namespaces it serves."""
    release: str = ""
    """The Helm release that made it, empty where none did."""
    wanted: int = 1
    """Replicas that are asked for."""
    ready: int = 0
    """Replicas that are ready."""
    let_go: frozenset[str] = frozenset()
    """The namespaces that moves took from it."""

    @property
    def at_work(self) -> bool:
        """Whether the operator acts, or is about to."""
        return self.wanted > 0 or self.ready > 0

    def covers(self, namespace: str) -> bool:
        """Says whether the namespace is one of those that it serves; yes where that cannot be told."""
        return self.namespaces is None or namespace in self.namespaces


def foreign_operators(facts: MoveFacts) -> tuple[ForeignOperator, ...]:
    """Returns the operators of Seldon Core's that can be seen, in the cluster and in the namespaces."""
    places = [place for place in (facts.here, facts.central, facts.foreign) if place is not None]
    seen = [*known(facts.cluster.upstream)]
    seen += [each for place in places for each in place.all(DEPLOYMENT) if is_upstream_operator(each)]
    by_home = {str(each["metadata"]["namespace"]): each for each in seen}
    return tuple(operator_of(by_home[home]) for home in sorted(by_home))


def operator_of(deployment: Object) -> ForeignOperator:
    """Returns an operator of Seldon Core's from its Deployment."""
    metadata, spec = deployment["metadata"], deployment.get("spec") or {}
    home = str(metadata["namespace"])
    namespaces, told = _scope(_settings(spec), home)
    marks = metadata.get("annotations") or {}
    return ForeignOperator(
        home=home,
        namespaces=namespaces,
        told=told,
        release=str(marks.get("meta.helm.sh/release-name") or ""),
        wanted=wanted_pods(deployment),
        ready=ready_pods(deployment),
        let_go=frozenset(key.removeprefix(LET_GO) for key in marks if key.startswith(LET_GO)),
    )


def containers_with(deployment: Object, namespaces: Iterable[str]) -> list[Object]:
    """Returns the containers of an operator whose list has these namespaces: none, where it has none.

    The list is in the variable that the flag names, else in the flag itself, which is added where it lacks.
    """
    containers: list[Object] = copy.deepcopy(_containers(deployment["spec"]))
    listed = ",".join(sorted(namespaces))
    for container in containers:
        args = container.setdefault("args", [])
        for number, word in enumerate(args):
            name, _, value = str(word).lstrip("-").partition("=")
            if name != _LIST:
                continue
            given = {each["name"]: each for each in container.get("env") or ()}
            match = _REFERENCE.fullmatch(value)
            if match and match[1] in given:
                given[match[1]]["value"] = listed
            else:
                args[number] = f"--{_LIST}={listed}"
            return containers
    containers[0]["args"].append(f"--{_LIST}={listed}")
    return containers


def _scope(settings: Mapping[str, str], home: str) -> tuple[frozenset[str] | None, bool]:
    clusterwide = settings.get("clusterwide", "").strip().lower()
    if clusterwide in _FALSE:
        return frozenset({home}), True
    if clusterwide not in _TRUE:
        return None, False
    listed = {name.strip() for name in settings.get(_LIST, "").split(",") if name.strip()}
    if not all(map(is_dns_label, listed)):
        return None, False
    return (frozenset({home, *listed}) if listed else None), True


def _settings(spec: Mapping[str, Any]) -> dict[str, str]:
    """Returns the flags of the operator's container, with its variables put in."""
    found: dict[str, str] = {}
    for container in _containers(spec):
        given = {each["name"]: str(each.get("value") or "") for each in container.get("env") or ()}
        unknown = {each["name"] for each in container.get("env") or () if each.get("valueFrom")}
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        for word in words:
            name, equals, value = str(word).lstrip("-").partition("=")
            if str(word).startswith("-"):
                found[name] = _filled(value, given, unknown) if equals else "true"
    return found


def _containers(spec: Mapping[str, Any]) -> list[Object]:
    pod = (spec.get("template") or {}).get("spec") or {}
    return list(pod.get("containers") or ())


def _filled(text: str, given: Mapping[str, str], unknown: set[str]) -> str:
    """Puts variables in; those whose value is elsewhere stay as they are written."""
    return _REFERENCE.sub(
        lambda match: match[0] if match[1] in unknown or match[1] not in given else given[match[1]], text
    )
