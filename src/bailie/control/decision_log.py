"""Writes each decision of placement into the log: once, and again only when the decision is another one.

Called by the engine for the models that it looks at, with the sentence that `bailie explain` shows, too.
Other figures do not make another decision, and a model that stands where an earlier scheduler placed it gets
no line.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from bailie.control.notices import Notice
from bailie.lifecycle.copies import CopyState
from bailie.placement import ReplicaId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.control.fleet import ModelCopy
    from bailie.control.notices import Notify
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import Assignment, Plan, Refusal

Reasons = tuple[tuple[str, int], ...]


class _Decision(NamedTuple):
    identity: str
    server: str
    replicas: tuple[int, ...]
    wanted: int
    codes: tuple[str, ...]


class DecisionLog:
    """The last decision about each model that wants a place."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._told: dict[str, _Decision] = {}
        self._reasons: tuple[Plan | None, dict[int, Reasons]] = (None, {})

    def note(self, wanted: WantedModel, plan: Plan, copies: Iterable[ModelCopy], sentence: str) -> None:
        """Writes the decision about a model where it is new; `sentence` is its explanation."""
        if wanted.model is None or wanted.replicas == 0:
            self.forget(wanted.name)
            return
        assigned = plan.assignments.get(wanted.version)
        reasons = self._counted(plan, plan.refusals.get(wanted.version, ()))
        codes = tuple(code for code, _ in reasons)
        server, replicas = (assigned.server, assigned.replicas) if assigned else ("", ())
        decision = _Decision(wanted.identity, server, replicas, wanted.replicas, codes)
        before = self._told.get(wanted.name)
        if decision == before:
            return
        self._told[wanted.name] = decision
        if before is None and assigned and not assigned.missing and _stands(assigned, copies):
            return
        fields = {
            "model": wanted.name,
            "server": server,
            "replicas": list(replicas),
            "wanted": wanted.replicas,
            "refusals": dict(reasons),
            "summary": sentence,
        }
        whole = assigned is not None and not assigned.missing
        self._notify(Notice("placement decided", fields, warning=not whole))

    def forget(self, name: str) -> None:
        """Forgets a model that wants no place any more."""
        self._told.pop(name, None)

    def _counted(self, plan: Plan, refusals: tuple[Refusal, ...]) -> Reasons:
        """Returns how often each reason comes; models that are refused alike share the answer."""
        if self._reasons[0] is not plan:
            self._reasons = (plan, {})
        known = self._reasons[1]
        if id(refusals) not in known:
            known[id(refusals)] = tuple(sorted(Counter(no.code.value for no in refusals).items()))
        return known[id(refusals)]


def _stands(assigned: Assignment, copies: Iterable[ModelCopy]) -> bool:
    """Says whether all assigned replicas have reported the version; a load only sent is no report."""
    version = assigned.demand.version
    own = (each for each in copies if each.id.version == version)
    there = {each.id.replica for each in own if each.state is not CopyState.REQUESTED}
    return there >= {ReplicaId(assigned.server, index) for index in assigned.replicas}
