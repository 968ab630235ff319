"""Whether Servers, their pods and all that names lead to are as before a move. Pure.

Asked by `central_steps` and `start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, POD, SERVER
from bailie.migration.facts import condition_of, labels_of, name_of, uid_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.api.kinds import Kind
    from bailie.migration.facts import NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

_SERVING = (SERVER, MODEL, EXPERIMENT, PIPELINE)


def unready(here: NamespaceObjects) -> frozenset[str]:
    """Returns the Servers, Models, Experiments and Pipelines that are not ready, each `Kind/name`."""
    return frozenset(
        _reference(kind, each) for kind in _SERVING for each in here.all(kind) if not _ready(each)
    )


def as_before(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns each of them that is older than the move, was ready before, and is not ready now."""
    return tuple(
        _why(kind, each)
        for kind in _SERVING
        for each in here.all(kind)
        if not _ready(each)
        and _reference(kind, each) not in record.unready
        and str(each["metadata"].get("creationTimestamp") or "") <= record.begun
    )


def serving_pods(here: NamespaceObjects) -> dict[str, str]:
    """Returns the uids of the pods of servers and Envoys by name."""
    return {name_of(each): uid_of(each) for each in here.all(POD) if _serves(each)}


def replaced_pods(here: NamespaceObjects, record: MoveRecord) -> tuple[str, ...]:
    """Returns the pods that served before the move and have been replaced or deleted since."""
    now = serving_pods(here)
    return tuple(name for name, uid in record.pods.items() if now.get(name) != uid)


def _serves(pod: Object) -> bool:
    found = labels_of(pod)
    apart = labels.BEFORE in found
    return apart or labels.SERVER in found or found.get(labels.NAME) == names.ENVOY


def _ready(item: Object) -> bool:
    return condition_of(item, "Ready").get("status") == "True"


def _reference(kind: Kind, item: Object) -> str:
    return f"{kind.kind}/{name_of(item)}"


def _why(kind: Kind, item: Object) -> str:
    ready = condition_of(item, "Ready")
    why = ready.get("message") or ready.get("reason") or "nothing is reported on it yet"
    return f"{kind.kind.lower()} {name_of(item)}: {why}"


def folded(texts: Iterable[str], shown: int = 5) -> str:
    """Returns the first of some texts in one line, and how many more there are."""
    found = list(texts)
    more = f" (and {len(found) - shown} more)" if len(found) > shown else ""
    return "; ".join(found[:shown]) + more
