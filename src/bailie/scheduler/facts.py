"""What the status of a Model is made from, counted from one pass.

Called by the engine for the models that it looks at. Only counts; the words are those of
`bailie.lifecycle.conditions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.lifecycle.conditions import ModelFacts
from bailie.lifecycle.memory import MemoryFacts
from bailie.lifecycle.replica import SERVING, ReplicaState
from bailie.lifecycle.version import Setback, VersionFacts
from bailie.placement import sentence
from bailie.scheduler.assembly import measured

if TYPE_CHECKING:
    from bailie.lifecycle.version import Failure
    from bailie.placement import Assignment, Plan, Snapshot
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Standing
    from bailie.scheduler.picture import Answer
    from bailie.scheduler.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a pass found about one Model: its place, what stands of it, and what answers for it.

    `number`, `scheduling` and `failure` belong to the wanted version, `answer` to the one that answers.
    """

    wanted: Wanted
    assignment: Assignment | None
    standings: tuple[Standing, ...]
    answer: Answer | None
    number: int = 0
    scheduling: str = ""
    failure: Failure | None = None


def facts_of(found: Found, routes: Routes) -> ModelFacts:
    """Counts what answers by the routes that the data plane has."""
    wanted, answer = found.wanted, found.answer
    serving = sum(_serves(standing, routes) for standing in answer.standings) if answer else 0
    older = answer is not None and answer.choice.identity != wanted.identity
    return ModelFacts(
        generation=wanted.generation,
        version=_version(found, available=0 if older else serving),
        number=found.number,
        server=_server(found),
        scheduling=found.scheduling,
        problems=wanted.problems,
        warnings=wanted.warnings,
        answering=answer.choice.number if answer and older and serving else None,
        answering_replicas=serving if older else 0,
        memory=_memory(found),
        evicted=_evicted(answer),
    )


def _evicted(answer: Answer | None) -> int:
    """How many of the replicas that answer have the version on disk only."""
    return sum(each.state is ReplicaState.EVICTED for each in answer.standings) if answer else 0


def _memory(found: Found) -> MemoryFacts:
    model, version = found.wanted.model, found.wanted.version
    if model is None:
        return MemoryFacts()
    own = [each for each in found.standings if each.seat.version == version]
    workers = max((each.report.workers for each in own if each.report), default=1)
    size = measured(own).get(version)
    return MemoryFacts(declared_bytes=model.spec.memory_bytes or 0, workers=workers, measured=size)


def _version(found: Found, *, available: int) -> VersionFacts:
    wanted = found.wanted
    own = [each for each in found.standings if each.seat.version == wanted.version]
    loaded = [each for each in own if each.state in SERVING]
    return VersionFacts(
        valid=wanted.model is not None,
        deleted=wanted.deleting,
        wanted=wanted.replicas,
        minimum=wanted.minimum,
        placed=len(found.assignment.replicas) if found.assignment else 0,
        loaded=len(loaded),
        silent=sum(not _answers(each) for each in loaded),
        hung=sum(each.connected and each.server_silent for each in loaded),
        available=available,
        failure=found.failure,
        setback=next(filter(None, map(_setback, own)), None),
    )


def _setback(standing: Standing) -> Setback | None:
    """An agent that loads a version again says why."""
    report = standing.report
    if standing.state is not ReplicaState.LOADING or report is None or not report.message:
        return None
    replica = str(standing.seat.replica)
    return Setback(reason=report.reason or "ModelProgressing", message=report.message, replica=replica)


def _serves(standing: Standing, routes: Routes) -> bool:
    return _answers(standing) and routes.is_available(standing)


def _answers(standing: Standing) -> bool:
    return standing.connected and standing.server_ready


def _server(found: Found) -> str:
    if found.assignment:
        return found.assignment.server
    return found.answer.standings[0].seat.replica.server if found.answer else ""


class Sentences:
    """Why each model is where it is, in words; models that are refused alike share theirs.

    For one pass: what refuses may read otherwise in the next.
    """

    def __init__(self, snapshot: Snapshot, plan: Plan) -> None:
        self._snapshot = snapshot
        self._plan = plan
        self._known: dict[int, str] = {}

    def of(self, wanted: Wanted) -> str:
        """Empty for a model that asks for no place."""
        version = wanted.version
        if wanted.model is None or wanted.replicas == 0:
            return ""
        if version in self._plan.assignments:
            return sentence(self._snapshot, self._plan, version)
        key = id(self._plan.refusals.get(version))
        if key not in self._known:
            self._known[key] = sentence(self._snapshot, self._plan, version)
        return self._known[key]
