"""A namespace with a central scheduler, in memory, and an operator that answers to each change of it at once.

    there = CentralNamespace()                      # `team`, served by the scheduler of `mesh`
    await there.executor().apply(record)            # the real executor and the real steps

`there.writes` are the writes that were made; `CentralNamespace(kill_after=3)` ends the process after the
third, as far as the executor can tell. `there.state()` is everything but the record.
"""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from typing import TYPE_CHECKING, Any, Self

from bailie.api.kinds import (
    CONFIG_MAP,
    LEASE,
    MODEL,
    POD,
    ROLE,
    ROLE_BINDING,
    SELDON_RUNTIME,
    SERVICE,
    SERVICE_ACCOUNT,
)
from bailie.kube.errors import AlreadyExists, Conflict, NotFound
from bailie.manifests.objects import WORKLOAD_LABEL
from bailie.manifests.rbac import central_manifests, namespace_manifests
from bailie.migration.changes import MoveChange, Verb
from bailie.migration.executor import Executor
from bailie.migration.facts import ClusterObjects, MoveFacts, MovePlaces, NamespaceObjects
from bailie.scope.central import SERVED_ELSEWHERE, asked_of, served_of
from bailie.scope.claim import CLAIM_LEASE, TERM_ANNOTATION
from bailie.wellknown import names
from kubeapi.apply.patches import merge

if TYPE_CHECKING:
    from bailie.api.kinds import Kind

HOME, CENTRAL, TEAM = "bailie-system", "mesh", "team"
PLACES = MovePlaces(central=CENTRAL)
OWN_POD = "seldon-scheduler-7d9f-x2x4k"
_BEFORE = "2026-01-01T00:00:00Z"
_RBAC = {each.kind: each for each in (SERVICE_ACCOUNT, ROLE, ROLE_BINDING)}


class Killed(BaseException):
    """The process has ended: nothing of it runs any more."""


class Quiet:
    """Tells nobody."""

    def step(self, step: Any, direction: str) -> None:
        pass

    def wrote(self, change: MoveChange) -> None:
        pass

    def waits(self, texts: Any) -> None:
        pass


class ObjectsInMemory:
    """Objects by kind, namespace and name, and controllers that answer to each write at once (`obey`)."""

    def __init__(self) -> None:
        self._versions = itertools.count(1)
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes: list[MoveChange] = []
        self.kill_after: int | None = None
        self.failure: BaseException = Killed()
        """What the writer of the write after that raises."""
        self.unanswered = False
        """True: that write is made all the same."""

    def __deepcopy__(self, _memo: object) -> Self:
        """Returns a copy ten times as fast as `copy.deepcopy`: tests keep one of each moment of a move."""
        found, mutable = copy.copy(self), {**vars(self), "writes": None}
        vars(found).update(pickle.loads(pickle.dumps(mutable)), writes=[*self.writes])
        return found

    def put(self, kind: Kind, namespace: str, name: str, content: dict[str, Any]) -> None:
        metadata = {
            "creationTimestamp": _BEFORE,
            **content.get("metadata", {}),
            "name": name,
            "namespace": namespace,
        }
        metadata["resourceVersion"] = str(next(self._versions))
        key = kind.kind, namespace, name
        uid = self.objects.get(key, {"metadata": {}})["metadata"].get("uid") or f"uid-{next(self._versions)}"
        metadata["uid"] = uid
        self.objects[key] = {**pickle.loads(pickle.dumps(content)), "metadata": metadata}

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        return self.objects[kind.kind, namespace, name]

    def state(self) -> dict[str, Any]:
        """Everything but the record, without versions and uids."""
        return {
            "/".join(key): {
                field: value for field, value in each.items() if field not in {"metadata", "status"}
            }
            for key, each in sorted(self.objects.items())
            if key[0] != CONFIG_MAP.kind
        }

    def executor(self, **collaborators: Any) -> Executor:
        given = {"look": self.look, "write": self.write, "tell": Quiet(), **collaborators}
        return Executor(TEAM, by="mary@desk", **given)

    async def write(self, change: MoveChange) -> None:
        if self.kill_after == len(self.writes):
            if self.unanswered:
                self.make(change)
            raise self.failure
        self.make(change)
        self.writes.append(change)
        self.obey()

    async def make_soon(self, change: MoveChange) -> None:
        """Makes a write, and no controller answers to it."""
        self.make(change)

    def make(self, change: MoveChange) -> None:
        key = change.kind.kind, change.namespace, change.name
        present = self.objects.get(key)
        if change.verb is Verb.CREATE:
            if present is not None:
                raise AlreadyExists(f"{change.name} exists")
            self.put(change.kind, change.namespace, change.name, change.body or {})
            return
        if present is None:
            raise NotFound(f"{change.name} not found")
        if change.verb is Verb.DELETE:
            del self.objects[key]
            return
        if change.version and change.version != present["metadata"]["resourceVersion"]:
            raise Conflict(f"{change.name} has changed")
        self.put(change.kind, change.namespace, change.name, merge(present, change.body))

    def of(self, namespace: str) -> NamespaceObjects:
        found: dict[str, dict[str, Any]] = {}
        for (kind, place, name), each in self.objects.items():
            if place == namespace:
                found.setdefault(kind, {})[name] = each
        return NamespaceObjects(name=namespace, objects=found)

    def obey(self) -> None:
        raise NotImplementedError

    async def look(self, places: MovePlaces) -> MoveFacts:
        raise NotImplementedError


class CentralNamespace(ObjectsInMemory):
    """The objects of both namespaces by kind, namespace and name."""

    def __init__(self, *, rights: bool = True, hand_made: bool = False, others: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.notes: dict[str, Any] = {"agents": {}, "published": 1, "acknowledged": 1}
        """The leading scheduler's words on itself."""
        self.obedient = True
        """False: the operator does nothing."""
        served = [*others, TEAM]
        self.put(
            SELDON_RUNTIME,
            CENTRAL,
            "seldon",
            {"spec": {"seldonConfig": "default", "servesNamespaces": served}},
        )
        disabled = {"name": names.SCHEDULER, "disable": True, "podSpec": {"priority": 1}}
        asked = {"overrides": [disabled]} if hand_made else {"schedulerNamespace": CENTRAL}
        self.put(SELDON_RUNTIME, TEAM, "seldon", {"spec": {"seldonConfig": "default", **asked}})
        self.put(LEASE, TEAM, CLAIM_LEASE, {"spec": {"holderIdentity": f"{HOME}/one"}})
        for each in (*namespace_manifests(TEAM, HOME), *central_manifests(TEAM, CENTRAL)):
            if rights or each["metadata"]["name"].partition("-r")[0] != names.SCHEDULER:
                self.put(_RBAC[each["kind"]], TEAM, each["metadata"]["name"], each)
        for name, ready in (("iris", "True"), ("broken", "False")):
            self.put(
                MODEL, TEAM, name, {"spec": {"storageUri": "s3://a/b"}, "status": _status("Ready", ready, "")}
            )
        self.put(POD, TEAM, "mlserver-0", {"metadata": {"labels": {"seldon-server-name": "mlserver"}}})
        if hand_made:
            target = f"{names.SCHEDULER}.{CENTRAL}.svc.cluster.local"
            spec = {"type": "ExternalName", "externalName": target}
            self.put(SERVICE, TEAM, names.SCHEDULER, {"spec": spec})
        self.obey()

    async def look(self, places: MovePlaces) -> MoveFacts:
        return MoveFacts(
            cluster=ClusterObjects(server="https://memory"),
            here=self.of(TEAM),
            central=self.of(places.central) if places.central else None,
        )

    def obey(self) -> None:
        """Does what operator and schedulers do with the present specs."""
        if not self.obedient:
            return
        here, central = (self.get(SELDON_RUNTIME, each, "seldon") for each in (TEAM, CENTRAL))
        service = self.objects.get((SERVICE.kind, TEAM, names.SCHEDULER))
        if service is None:
            service = {
                "metadata": {"labels": {WORKLOAD_LABEL: names.SCHEDULER}},
                "spec": {"ports": [{"port": 9005}]},
            }
            self.put(SERVICE, TEAM, names.SCHEDULER, service)
        disabled = "'disable': True" in str(here["spec"])
        elsewhere = asked_of(here) == CENTRAL or "externalName" in service["spec"]
        reason = SERVED_ELSEWHERE if elsewhere else "Disabled" if disabled else "ReplicasReady"
        if here.get("status") != _status("SchedulerReady", "True", reason):
            self.put(
                SELDON_RUNTIME, TEAM, "seldon", {**here, "status": _status("SchedulerReady", "True", reason)}
            )
        told = [each for each in served_of(central) if each != TEAM or elsewhere]
        if central.get("status") != {"servedNamespaces": told}:
            self.put(SELDON_RUNTIME, CENTRAL, "seldon", {**central, "status": {"servedNamespaces": told}})
        notes = self.notes
        own, there = (None, notes) if elsewhere else (notes, None)
        holder = "" if disabled else OWN_POD
        self._lease(TEAM, f"{CENTRAL}/{names.SCHEDULER}" if elsewhere else holder, own or {})
        self._lease(CENTRAL, "seldon-scheduler-central", {**notes, "others": {TEAM: there} if there else {}})

    def _lease(self, namespace: str, holder: str, notes: dict[str, Any]) -> None:
        annotations = {TERM_ANNOTATION: json.dumps(notes)}
        content = {"metadata": {"annotations": annotations}, "spec": {"holderIdentity": holder}}
        self.put(LEASE, namespace, names.SCHEDULER, content)


def _status(condition: str, status: str, reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": condition, "status": status, "reason": reason, "message": "said"}]}
