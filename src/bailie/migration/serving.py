"""Whether Servers, their pods and all that names lead to are as before a move. Pure.

Asked by the steps, by `start` and by `bailie migrate verify`. An object that was not ready before the move
is waited for nowhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bailie.api.experiment import OVER_PIPELINES
from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, POD, SERVER
from bailie.api.names import EXPERIMENT_ENDING
from bailie.api.texts import abridged
from bailie.doctor.facts import Unknown
from bailie.migration.facts import condition_of, labels_of, name_of, spec_of, uid_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import Facts, NamespaceFacts
    from bailie.migration.facts import NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

SERVING = (SERVER, MODEL, EXPERIMENT, PIPELINE)
"""The kinds whose readiness a move compares with that of before."""
_SHOWN = 5


def unready(here: NamespaceObjects) -> frozenset[str]:
    """Returns the Servers, Models, Experiments and Pipelines that are not ready, each `Kind/name`."""
    return frozenset(
        _reference(kind, each) for kind in SERVING for each in here.all(kind) if not says_ready(each)
    )


def excusing(here: NamespaceObjects, record: MoveRecord) -> MoveRecord:
    """Returns the record for a wait: of objects that were made since the move began, none is waited for.

    No object of their names answered before. A Model of a name that a Server's pods of before may answer for
    until they end (`placed`) is waited for all the same.
    """
    since = (
        _reference(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if _is_newer(each, record) and not (kind is MODEL and name_of(each) in record.placed)
    )
    return replace(record, unready=record.unready.union(since))


def as_before(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns each of them that was ready before, and is not ready now."""
    return tuple(
        _why(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if not says_ready(each) and _reference(kind, each) not in record.unready
    )


def unready_as_before(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns each of them that is not ready now, and was not ready before the move either."""
    return tuple(
        _why(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if not says_ready(each) and _reference(kind, each) in record.unready and not _is_newer(each, record)
    )


def unready_since(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns each of them that was made since the move began, and is not ready now."""
    return tuple(
        _why(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if not says_ready(each) and _is_newer(each, record)
    )


def silent_names(here: NamespaceObjects, record: MoveRecord) -> frozenset[str]:
    """Returns the names for which another mesh may go on answering: those of objects not ready before.

    While a candidate of an Experiment does not answer, the fall-back has the Experiment's default, too.
    """
    unready = (each.split("/", 1) for each in record.unready)
    return frozenset(route for kind, name in unready for route in _routes(here, kind, name))


def excused(facts: Facts, record: MoveRecord) -> Facts:
    """Returns the doctor's facts with everything that was not ready before the move taken for ready."""
    return replace(facts, namespaces=tuple(_excused(each, record) for each in facts.namespaces))


def serving_pods(here: NamespaceObjects) -> dict[str, str]:
    """Returns the uids of the pods of servers and Envoys by name."""
    return {name_of(each): uid_of(each) for each in here.all(POD) if _serves(each)}


def replaced_pods(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns the pods that served before the move and have been replaced or deleted since."""
    now = serving_pods(here)
    return tuple(name for name, uid in record.pods.items() if now.get(name) != uid)


def says_ready(item: Object) -> bool:
    """Says whether a controller has reported an object as ready."""
    return condition_of(item, "Ready").get("status") == "True"


def _routes(here: NamespaceObjects, kind: str, name: str) -> Iterator[str]:
    """Yields the names by which callers ask for an object."""
    if kind == MODEL.kind:
        yield name
    elif kind == PIPELINE.kind:
        yield f"{name}{names.PIPELINE_ENDING}"
    elif kind == EXPERIMENT.kind:
        yield f"{name}{EXPERIMENT_ENDING}"
        spec = spec_of(here.get(EXPERIMENT, name) or {})
        if default := spec.get("default"):
            over = PIPELINE if spec.get("resourceType") == OVER_PIPELINES else MODEL
            yield from _routes(here, over.kind, str(default))


def _excused(seen: NamespaceFacts, record: MoveRecord) -> NamespaceFacts:
    def of(kind: Kind, things: Any) -> Any:
        if isinstance(things, Unknown):
            return things
        return tuple(
            replace(each, ready=True, current=True, replicas=0)
            if f"{kind.kind}/{each.name}" in record.unready
            else each
            for each in things
        )

    return replace(
        seen,
        servers=of(SERVER, seen.servers),
        models=of(MODEL, seen.models),
        experiments=of(EXPERIMENT, seen.experiments),
        pipelines=of(PIPELINE, seen.pipelines),
    )


def _serves(pod: Object) -> bool:
    found = labels_of(pod)
    apart = labels.BEFORE in found
    return apart or labels.SERVER in found or found.get(labels.NAME) == names.ENVOY


def _is_newer(item: Object, record: MoveRecord) -> bool:
    return str(item["metadata"].get("creationTimestamp") or "") > record.begun


def _reference(kind: Kind, item: Object) -> str:
    return f"{kind.kind}/{name_of(item)}"


def _why(kind: Kind, item: Object) -> str:
    ready = condition_of(item, "Ready")
    why = ready.get("message") or ready.get("reason") or "nothing is reported on it yet"
    return f"{kind.kind.lower()} {name_of(item)}: {why}"


def folded(texts: Iterable[str]) -> str:
    """Returns the first of some texts in one line, and how many more there are."""
    return abridged(list(texts), _SHOWN, "; ")
