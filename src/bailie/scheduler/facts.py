"""What the status of each Model is made from, counted from one pass.

Called by the engine. Only counts; the words are those of `bailie.lifecycle.conditions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.lifecycle import ModelFacts, ReplicaState, VersionFacts
from bailie.placement import sentence

if TYPE_CHECKING:
    from bailie.lifecycle import Failure
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Standing
    from bailie.scheduler.picture import Answer, View
    from bailie.scheduler.routes import Routes


def facts_of(
    wanted: Wanted, view: View, *, number: int, answer: Answer | None, routes: Routes, failure: Failure | None
) -> ModelFacts:
    """`number` and `failure` belong to the wanted version, `answer` to the one that answers."""
    serving = sum(_serves(standing, routes) for standing in answer.standings) if answer else 0
    older = answer is not None and answer.choice.identity != wanted.identity
    demanded = wanted.model is not None and wanted.replicas > 0
    return ModelFacts(
        generation=wanted.generation,
        version=_version(wanted, view, available=0 if older else serving, failure=failure),
        number=number,
        server=_server(wanted, view, answer),
        scheduling=sentence(view.snapshot, view.plan, wanted.version) if demanded else "",
        problems=wanted.problems,
        warnings=wanted.warnings,
        answering=answer.choice.number if answer and older and serving else None,
        answering_replicas=serving if older else 0,
    )


def _version(wanted: Wanted, view: View, *, available: int, failure: Failure | None) -> VersionFacts:
    assignment = view.plan.assignments.get(wanted.version)
    own = (each for each in view.standings.get(wanted.name, ()) if each.seat.version == wanted.version)
    loaded = [each for each in own if each.state is ReplicaState.LOADED]
    return VersionFacts(
        valid=wanted.model is not None,
        deleted=wanted.deleting,
        wanted=wanted.replicas,
        minimum=wanted.minimum,
        placed=len(assignment.replicas) if assignment else 0,
        loaded=len(loaded),
        silent=sum(not _answers(each) for each in loaded),
        available=available,
        failure=failure,
    )


def _serves(standing: Standing, routes: Routes) -> bool:
    return _answers(standing) and routes.is_available(standing.seat)


def _answers(standing: Standing) -> bool:
    return standing.connected and standing.server_ready


def _server(wanted: Wanted, view: View, answer: Answer | None) -> str:
    assignment = view.plan.assignments.get(wanted.version)
    if assignment:
        return assignment.server
    return answer.standings[0].seat.replica.server if answer else ""
