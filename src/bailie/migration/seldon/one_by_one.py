"""Brings the Servers over one after the other, where there is no room for both copies of all of them. Pure.

Called by `seldon_steps`, with the name of a Server. The replicas of every Server are held back at first. Once
one has its copy of Bailie's and each of its models answers there, the names of its pods of before lead to
Bailie's Envoys, so that Seldon Core's, which know nothing of the move, hand on to them; then these pods end,
and the next Server has their room. The pods of the last one may stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import EXPERIMENT, MODEL, PERSISTENT_VOLUME_CLAIM, POD, SERVER, SERVICE
from bailie.api.status import status_of
from bailie.manifests.objects import is_ours
from bailie.migration.changes import delete, patch
from bailie.migration.facts import (
    annotations_of,
    condition_of,
    is_going,
    labels_of,
    name_of,
    runtime_status,
    spec_of,
)
from bailie.migration.fields import writes_of
from bailie.migration.seldon.parts import (
    addresses_of,
    attached_pods,
    behind,
    detached_pods,
    own_envoys,
    own_workload,
    seconds_between,
)
from bailie.migration.serving import silent_names
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

HELD, FREE = "true", "false"
"""The values of the annotation `bailie.io/held`."""
POD_NAME = "statefulset.kubernetes.io/pod-name"
"""The label by which the Service of one pod finds it."""
LOOK_UP_SECONDS = 30.0
"""So long may an Envoy of Seldon Core's go on with the address that a name had: it looks names up every 5 s,
and the cluster's DNS and its caches may keep an answer for as long again, a few times."""
_SELECTOR = (("spec", "selector"),)
_PREFIX = "server="
"""Begins `status.selector` of a Model; the Server follows, in both systems."""


def servers_of_models(here: NamespaceObjects) -> dict[str, str]:
    """Returns the Server of each Model, as its status tells, else its spec; empty where neither does."""
    return {name_of(each): _server_of(each) for each in here.all(MODEL)}


def spanning_experiments(here: NamespaceObjects) -> tuple[str, ...]:
    """Returns the Experiments whose candidates, or whose mirror, are not on one and the same Server.

    Such an Experiment comes over once Bailie has all of its candidates. Until then Seldon Core's Envoys share
    its requests, also with a Server whose pods have ended.
    """
    placed = servers_of_models(here)
    return tuple(name_of(each) for each in here.all(EXPERIMENT) if len(_servers_of(each, placed)) > 1)


def release(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Lets the replicas of the Server start."""
    found = facts.here.get(SERVER, server)
    if found is None or annotations_of(found).get(labels.HELD) != HELD:
        return ()
    return (patch(SERVER, found, {"metadata": {"annotations": {labels.HELD: FREE}}}),)


def is_over(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[str, ...]:
    """Waits until Bailie's copy of the Server is whole, and answers for each model that was on the Server.

    A Model whose Server is not known may have been on this one.
    """
    if lacking := _lacking(facts.here, server):
        return (lacking,)
    told = runtime_status(facts.here.runtime()).fallback
    if told is None:
        return ("fall-back: the namespace's scheduler has not told yet which names are handed on",)
    listed = set(told.listed) - silent_names(facts.here, record)
    return tuple(_not_over(facts.here, record, server, listed))


def lead_here(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Leads the names of the Server's pods of before to Bailie's Envoys."""
    return tuple(
        patch(SERVICE, each, {"spec": {"selector": {POD_NAME: None, labels.WORKLOAD: names.ENVOY}}})
        for each in pod_services(facts.here, server)
        if not _leads_here(each)
    )


def is_led_here(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[str, ...]:  # noqa: ARG001
    """Waits until the names lead to Bailie's Envoys, and Seldon Core's have looked them up again."""
    own = addresses_of(own_envoys(facts.here))
    return tuple(text for each in pod_services(facts.here, server) for text in _unseen(facts, each, own))


def lead_back(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Leads the names of those of the Server's pods that have not ended to these pods again."""
    left = {name_of(pod) for pod, of in detached_pods(facts.here) if of == server}
    return tuple(_to_pod(each) for each in _led_here(facts.here, server) if name_of(each) in left)


def is_led_back(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[str, ...]:  # noqa: ARG001
    """Waits until the names lead to the pods, and Seldon Core's Envoys have looked them up again."""
    pods = {name_of(pod): addresses_of([pod]) for pod, of in detached_pods(facts.here) if of == server}
    return tuple(
        text
        for each in pod_services(facts.here, server)
        if name_of(each) in pods
        for text in _unseen(facts, each, pods[name_of(each)])
    )


def lead_all_back(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Leads the names of all pods of the Servers to these pods again, also of pods that are to be made."""
    return tuple(_to_pod(each) for server in record.one_by_one for each in _led_here(facts.here, server))


def end_pods(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Deletes the Server's pods of before."""
    return tuple(delete(POD, pod) for pod, of in detached_pods(facts.here) if of == server)


def are_pods_ended(facts: MoveFacts, record: MoveRecord, server: str) -> tuple[str, ...]:  # noqa: ARG001
    """Waits until the Server's pods of before have ended, and their room is free."""
    before = (each for each in facts.here.all(POD) if labels_of(each).get(labels.BEFORE) == server)
    return tuple(f"pod {name_of(each)}: it has not ended yet" for each in before)


def pod_services(here: NamespaceObjects, server: str) -> tuple[Object, ...]:
    """Returns Seldon Core's Services of the single pods of a Server, `<server>-<number>`."""
    return tuple(
        each
        for each in here.all(SERVICE)
        if not is_ours(each)
        and (_leads_here(each) or POD_NAME in (spec_of(each).get("selector") or {}))
        and name_of(each).rpartition("-")[0] == server
        and name_of(each).rpartition("-")[2].isdigit()
    )


def without_pods(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    """Returns the Servers for which only Bailie's copy answers, which a way back ends."""
    left = {of for _, of in (*detached_pods(facts.here), *attached_pods(facts.here))}
    return tuple(
        each
        for each in record.one_by_one
        if each not in left and own_workload(facts.here, each) is not None and _is_free(facts.here, each)
    )


def models_on(record: MoveRecord, servers: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the Models that were on one of these Servers, or may have been."""
    return tuple(name for name, server in record.placed.items() if not server or server in servers)


def claims_of_ended(here: NamespaceObjects, record: MoveRecord) -> tuple[Object, ...]:
    """Returns the volume claims of pods that have ended: a StatefulSet gives them the label of its pods."""
    ended = tuple(f"-{pod}" for pod in record.pods if here.get(POD, pod) is None)
    return tuple(
        each
        for each in here.all(PERSISTENT_VOLUME_CLAIM)
        if labels_of(each).get(labels.SERVER) in record.one_by_one
        and not is_going(each)
        and name_of(each).endswith(ended or " ")
    )


def _lacking(here: NamespaceObjects, server: str) -> str:
    """Returns how many pods the Server lacks; nothing if it wants none, or if somebody has deleted it."""
    asked, found = here.get(SERVER, server), own_workload(here, server)
    if asked is None or spec_of(asked).get("replicas") == 0:
        return ""
    ready = int(status_of(found).get("readyReplicas") or 0) if found is not None else 0
    wanted = int(spec_of(found).get("replicas") or 0) if found is not None else 0
    if wanted and ready >= wanted:
        return ""
    return f"server {server}: {ready} of {wanted or 1} pods of Bailie's are ready"


def _server_of(model: Object) -> str:
    told = str(status_of(model).get("selector") or "")
    return told.removeprefix(_PREFIX) if told.startswith(_PREFIX) else str(spec_of(model).get("server") or "")


def _servers_of(experiment: Object, placed: Mapping[str, str]) -> set[str]:
    """Returns the Servers of an Experiment; each Model whose Server is not known counts as one more."""
    spec = spec_of(experiment)
    asked = [*(spec.get("candidates") or ()), *filter(None, [spec.get("mirror")])]
    models = [str(each.get("name") or "") for each in asked]
    return {placed.get(name) or f"that of {name}" for name in models}


def _not_over(here: NamespaceObjects, record: MoveRecord, server: str, listed: set[str]) -> Iterator[str]:
    for name in models_on(record, (server,)):
        model = here.get(MODEL, name)
        if model is None or f"{MODEL.kind}/{name}" in record.unready:
            continue
        rolled = condition_of(model, "RolledOut")
        if rolled.get("status") != "True" or name in listed:
            why = rolled.get("message") or "its scheduler has not reported on it yet"
            unsure = (
                "" if record.placed[name] else "; it may be on this Server, so name its Server in spec.server"
            )
            yield f"model {name}: {why}{unsure}"


def _led_here(here: NamespaceObjects, server: str) -> Iterator[Object]:
    return (each for each in pod_services(here, server) if _leads_here(each))


def _to_pod(service: Object) -> MoveChange:
    selector = {POD_NAME: name_of(service), labels.WORKLOAD: None}
    return patch(SERVICE, service, {"spec": {"selector": selector}})


def _unseen(facts: MoveFacts, service: Object, wanted: frozenset[str]) -> Iterator[str]:
    """Yields that a Service does not lead to these addresses yet, or that Envoys of before may not know."""
    ready = behind(facts.here, name_of(service))
    if ready is not None and ready != wanted:
        yield f"Service {name_of(service)}: it does not lead to {', '.join(sorted(wanted))} alone yet"
    written = max((write.time for write in writes_of(service, _SELECTOR)), default="")
    left = LOOK_UP_SECONDS - seconds_between(written, facts.at) if written and facts.at else 0.0
    if left > 0:
        text = f"Seldon Core's Envoys look it up again, at most {left:.0f} s from now"
        yield f"Service {name_of(service)}: {text}"


def _leads_here(service: Object) -> bool:
    selector = spec_of(service).get("selector") or {}
    return bool(selector.get(labels.WORKLOAD) == names.ENVOY and POD_NAME not in selector)


def _is_free(here: NamespaceObjects, server: str) -> bool:
    found = here.get(SERVER, server)
    return found is not None and annotations_of(found).get(labels.HELD) == FREE
