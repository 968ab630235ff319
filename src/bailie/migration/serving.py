"""Whether Servers, their pods and all that names lead to are as before a move. Pure.

Asked by the steps, by `start` and by `bailie migrate verify`. An object that was not ready before the move
is waited for nowhere.
"""

from __future__ import annotations

import hashlib
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
    from collections.abc import Callable, Iterable, Iterator

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import Facts, NamespaceFacts
    from bailie.migration.facts import NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

SERVING = (SERVER, MODEL, EXPERIMENT, PIPELINE)
"""The kinds whose readiness a move compares with that of before."""
_SHOWN = 5
_DIGEST_BYTES = 6
"""Two of a hundred thousand names have one digest once in fifty thousand such namespaces."""


def unready(here: NamespaceObjects) -> frozenset[str]:
    """Returns the Servers, Models, Experiments and Pipelines that are not ready, each `Kind/name`."""
    return frozenset(
        _reference(kind, each) for kind in SERVING for each in here.all(kind) if not says_ready(each)
    )


def object_digests(here: NamespaceObjects) -> bytes:
    """Returns the digests of the Servers, Models, Experiments and Pipelines that are there, in one value.

    A record has them in place of the names: thousands of names would leave it no room.
    """
    return b"".join(sorted(_digest(_reference(kind, each)) for kind in SERVING for each in here.all(kind)))


def excusing(here: NamespaceObjects, record: MoveRecord) -> MoveRecord:
    """Returns the record for a wait: of objects that are new since the move began, none is waited for.

    No object of their names answered before. An object that was deleted and made anew is not new: callers ask
    for it by a name that answered. A Model of a name that a Server's pods of before may answer for until they
    end (`placed`) is waited for all the same.
    """
    is_new = _newness(record)
    since = (
        _reference(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if is_new(kind, each) and not (kind is MODEL and name_of(each) in record.placed)
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
    is_new = _newness(record)
    return tuple(
        _why(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if not says_ready(each) and _reference(kind, each) in record.unready and not is_new(kind, each)
    )


def unready_since(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns each of them that is new since the move began, and is not ready now."""
    is_new = _newness(record)
    return tuple(
        _why(kind, each)
        for kind in SERVING
        for each in here.all(kind)
        if not says_ready(each) and is_new(kind, each)
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


def _newness(record: MoveRecord) -> Callable[[Kind, Object], bool]:
    """Returns the function that says of an object whether none of its name was there before the move.

    By a record of an earlier version the time of its creation decides.
    """
    if record.known is None:
        return lambda _, item: str(item["metadata"].get("creationTimestamp") or "") > record.begun
    joined = record.known
    known = {joined[at : at + _DIGEST_BYTES] for at in range(0, len(joined), _DIGEST_BYTES)}
    return lambda kind, item: _digest(_reference(kind, item)) not in known


def _digest(reference: str) -> bytes:
    return hashlib.blake2b(reference.encode(), digest_size=_DIGEST_BYTES).digest()


def _reference(kind: Kind, item: Object) -> str:
    return f"{kind.kind}/{name_of(item)}"


def _why(kind: Kind, item: Object) -> str:
    ready = condition_of(item, "Ready")
    why = ready.get("message") or ready.get("reason") or "nothing is reported on it yet"
    return f"{kind.kind.lower()} {name_of(item)}: {why}"


def folded(texts: Iterable[str]) -> str:
    """Returns the first of some texts in one line, and how many more there are."""
    return abridged(list(texts), _SHOWN, "; ")
