"""A namespace of Seldon Core's in memory, with both operators, which answer to each change at once.

    there = SeldonNamespace()                   # `team`, served by Seldon Core, with Bailie's operator beside
    await there.executor().apply(record)        # the real executor and the real steps

`there.writes`, `kill_after` and `failure` are those of `moves.ObjectsInMemory`. After each write every model
must be answered: by each Envoy behind the Service of callers, from a server that it can reach.
`there.started` names the pods that Seldon Core's workloads have made since the beginning, `there.tolerated`
the Servers whose models need not be answered.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.moves import HOME, TEAM, ObjectsInMemory

from bailie.api import kinds
from bailie.api.crd import crd_manifests
from bailie.manifests.objects import MANAGED_BY, WORKLOAD_LABEL, is_ours
from bailie.migration.changes import ORPHAN, Verb
from bailie.migration.facts import (
    ClusterObjects,
    MoveFacts,
    MovePlaces,
    labels_of,
    name_of,
    owners_of,
    spec_of,
)
from bailie.migration.foreign import operator_of
from bailie.scope.claim import CLAIM_LEASE, TERM_ANNOTATION
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.api.kinds import Kind
    from bailie.migration.changes import MoveChange

Manifest = dict[str, Any]
OLD = "seldon-system"
SERVERS = ("mlserver", "triton")
MODELS = ("iris", "broken")
_CLAIMS = {"volumeClaimTemplates": [{"metadata": {"name": "models"}}]}
USERS_CLAIM = "team-models"
"""The volume claim that the pods of Servers mount, and that nobody but its users may delete."""
_ENVOY = {labels.NAME: names.ENVOY}
_ESTABLISHED = {"conditions": [{"type": "Established", "status": "True"}]}
_DEFINITIONS = {name_of(each): {**each, "status": _ESTABLISHED} for each in crd_manifests()}
_READY = [{"type": "Ready", "status": "True"}]
_BEFORE_LOOK = "2026-05-31T23:59:00Z"


def places(*, operated_from: str = OLD, central: bool = False) -> MovePlaces:
    """The namespaces that a move of `team` concerns."""
    return MovePlaces(home=HOME, foreign=operated_from, central=OLD if central else "", whole=True)


class SeldonNamespace(ObjectsInMemory):
    """`team`, its Seldon Core operator in `operated_from`, whose list is `listed`; none for all.

    `mesh_elsewhere`: it has no Envoys, and its Service of callers leads to those of the operator's namespace.
    """

    def __init__(
        self,
        *,
        central: bool = False,
        operated_from: str = OLD,
        listed: tuple[str, ...] = (OLD, TEAM),
        mesh_elsewhere: bool = False,
    ) -> None:
        super().__init__()
        self._mesh_elsewhere = mesh_elsewhere
        self.started: list[str] = []
        self.tolerated: set[str] = set()
        self.running: dict[str, str] = {}
        self._central = central
        self._operated_from = operated_from
        self.runtimes = frozenset({OLD, TEAM} if central or len(listed) > 1 else {TEAM})
        replicas = {"replicas": 0} if central else {}
        overrides = [{"name": names.SCHEDULER, **replicas}, {"name": names.ENVOY, "replicas": 1}]
        finalizers = {"metadata": {"finalizers": ["seldon.runtime.finalizer"]}}
        spec = {"seldonConfig": "default", "overrides": overrides}
        self.make_one(kinds.SELDON_RUNTIME, "seldon", {**finalizers, "spec": spec})
        for name in SERVERS:
            self.make_one(
                kinds.SERVER, name, {"spec": {"serverConfig": "mlserver"}, "status": {"conditions": _READY}}
            )
        for name in MODELS:
            status = {"conditions": _READY} if name == "iris" else {}
            finalizers = {"metadata": {"finalizers": ["seldon.model.finalizer"]}}
            spec = {"storageUri": "s3://a/b", "server": SERVERS[0]}
            self.make_one(kinds.MODEL, name, {**finalizers, "spec": spec, "status": status})
        if central:
            target = f"{names.SCHEDULER}.{OLD}.svc.cluster.local"
            self.make_one(
                kinds.SERVICE, names.SCHEDULER, {"spec": {"type": "ExternalName", "externalName": target}}
            )
        if mesh_elsewhere:
            spec = {"type": "ExternalName", "externalName": f"{names.MESH}.{OLD}.svc.cluster.local"}
            self.make_one(kinds.SERVICE, names.MESH, {"spec": spec})
        self.make_one(kinds.PERSISTENT_VOLUME_CLAIM, USERS_CLAIM, {})
        flags = [
            f"--clusterwide={str(operated_from != TEAM).lower()}",
            "--watch-namespaces=$(WATCH_NAMESPACES)",
        ]
        manager = {
            "name": "manager",
            "command": ["/manager"],
            "args": flags,
            "env": [{"name": "WATCH_NAMESPACES", "value": ",".join(listed)}],
        }
        deployment = {"spec": {"replicas": 1, "template": {"spec": {"containers": [manager]}}}}
        self.make_one(kinds.DEPLOYMENT, names.OPERATOR, deployment, operated_from)
        self.make_one(kinds.CONFIG_MAP, names.WATCH_LIST, {"data": {names.NAMESPACES_KEY: f"{HOME}\n"}}, HOME)
        for kind, name in ((kinds.SELDON_CONFIG, "default"), (kinds.SERVER_CONFIG, "mlserver")):
            self.make_one(kind, name, {"spec": {"of": "bailie"}}, HOME)
            self.make_one(kind, name, {"spec": {"of": "seldon core"}}, operated_from)
        self.obey()
        self.started.clear()

    def make_one(self, kind: Kind, name: str, content: Manifest, namespace: str = TEAM) -> None:
        """Makes an object or replaces it."""
        self.put(kind, namespace, name, {"apiVersion": kind.api_version, "kind": kind.kind, **content})

    async def look(self, where: MovePlaces) -> MoveFacts:
        beside = where.foreign if where.foreign != TEAM else ""
        return MoveFacts(
            cluster=ClusterObjects(server="https://memory", definitions=_DEFINITIONS),
            here=self.of(TEAM),
            home=self.of(where.home) if where.home else None,
            foreign=self.of(beside) if beside else None,
            runtimes_in=self.runtimes,
            at="2026-06-01T00:00:00Z",
        )

    def make(self, change: MoveChange) -> None:
        present = self.objects.get((change.kind.kind, change.namespace, change.name))
        super().make(change)
        if present is not None and change.verb is Verb.DELETE:
            self._collect(present, orphan=change.propagation == ORPHAN)

    def _collect(self, owner: Manifest, *, orphan: bool) -> None:
        """Does what the garbage collector does with the objects of one that was deleted."""
        for key, each in list(self.objects.items()):
            kept = [
                each_owner for each_owner in owners_of(each) if each_owner["uid"] != owner["metadata"]["uid"]
            ]
            if len(kept) == len(owners_of(each)):
                continue
            if orphan:
                each["metadata"]["ownerReferences"] = kept
            else:
                del self.objects[key]
                self._collect(each, orphan=False)

    def obey(self) -> None:
        """Does what operators and controllers do with the present objects, then checks the answers."""
        if self._old_operator_serves():
            self._as_seldon_core()
        self._as_bailie()
        for _ in range(2):
            self._as_controllers()
        self._tell_models()
        self._tell_operator()
        assert not (silent := [*self._unanswered()]), f"{silent} after {self.writes[-1:]}"

    def _old_operator_serves(self) -> bool:
        operator = operator_of(self.get(kinds.DEPLOYMENT, self._operated_from, names.OPERATOR))
        return operator.wanted > 0 and operator.covers(TEAM)

    def _as_seldon_core(self) -> None:
        runtime = self.get(kinds.SELDON_RUNTIME, TEAM, "seldon")
        for name in SERVERS:
            server = self.get(kinds.SERVER, TEAM, name)
            pods = {**_pods_of(name, {labels.SERVER: name}), **_CLAIMS}
            self._keep(kinds.STATEFUL_SET, name, server, pods)
            selector = {"statefulset.kubernetes.io/pod-name": f"{name}-0"}
            self._keep(kinds.SERVICE, f"{name}-0", server, {"selector": selector})
        if not self._mesh_elsewhere:
            self._keep(kinds.DEPLOYMENT, names.ENVOY, runtime, _pods_of(names.ENVOY, _ENVOY))
            self._keep(kinds.SERVICE, names.MESH, runtime, {"type": "LoadBalancer", "selector": dict(_ENVOY)})
        for kind, name in ((kinds.CONFIG_MAP, names.AGENT_CONFIG), (kinds.CONFIG_MAP, "seldon-kafka")):
            self._keep(kind, name, runtime, {})
        for account in ("agent", "hodometer"):
            self._keep(kinds.ROLE, f"{account}-role", runtime, {})
        if not self._central:
            pod = _pods_of(names.SCHEDULER, {labels.NAME: names.SCHEDULER})
            self._keep(kinds.STATEFUL_SET, names.SCHEDULER, runtime, {**pod, **_CLAIMS})
            self._keep(kinds.SERVICE, names.SCHEDULER, runtime, {"selector": {labels.NAME: names.SCHEDULER}})

    def _keep(self, kind: Kind, name: str, owner: Manifest, spec: Manifest) -> None:
        """Makes an object, or writes its spec over, as Seldon Core's operator does."""
        there = self.objects.get((kind.kind, TEAM, name))
        if there is not None and is_ours(there):
            return
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        if there is None or spec_of(there) != spec:
            self.make_one(kind, name, {"metadata": {"ownerReferences": [reference]}, "spec": spec})

    def _as_bailie(self) -> None:
        listed = self.get(kinds.CONFIG_MAP, HOME, names.WATCH_LIST)["data"][names.NAMESPACES_KEY].split()
        claim = self.objects.get((kinds.LEASE.kind, TEAM, CLAIM_LEASE))
        if TEAM not in listed:
            if claim is not None and claim["spec"]["holderIdentity"]:
                self.make_one(kinds.LEASE, CLAIM_LEASE, {"spec": {"holderIdentity": ""}})
            return
        if claim is None or not claim["spec"]["holderIdentity"]:
            self.make_one(kinds.LEASE, CLAIM_LEASE, {"spec": {"holderIdentity": f"{HOME}/one"}})
        self._serve()

    def _serve(self) -> None:
        runtime = self.get(kinds.SELDON_RUNTIME, TEAM, "seldon")
        for name in SERVERS:
            notes = self.get(kinds.SERVER, TEAM, name)["metadata"].get("annotations") or {}
            own = {
                "ordinals": {"start": int(notes.get(labels.FIRST_ORDINAL, 0))},
                "replicas": 0 if notes.get(labels.HELD) == "true" else 1,
            }
            self._own(kinds.STATEFUL_SET, name, {**_pods_of(name, {labels.SERVER: name}, ours=True), **own})
        self._own(kinds.DEPLOYMENT, names.ENVOY, _pods_of(names.ENVOY, _ENVOY, ours=True))
        self._own(
            kinds.DEPLOYMENT,
            names.SCHEDULER,
            _pods_of(names.SCHEDULER, {labels.NAME: names.SCHEDULER}, ours=True),
        )
        self._own(kinds.SERVICE, names.SCHEDULER, {"ports": [{"port": 9005}]})
        service = self.objects.get((kinds.SERVICE.kind, TEAM, names.MESH))
        if service is not None and is_ours(service):
            override = next(each for each in spec_of(runtime)["overrides"] if each["name"] == names.ENVOY)
            self._own(kinds.SERVICE, names.MESH, {"type": override["serviceType"], "selector": dict(_ENVOY)})
        notes = json.dumps({"agents": dict.fromkeys(SERVERS, 1), "published": 1, "acknowledged": 1})
        term = {"metadata": {"annotations": {TERM_ANNOTATION: notes}}, "spec": {"holderIdentity": "pod"}}
        if (kinds.LEASE.kind, TEAM, names.SCHEDULER) not in self.objects:
            self.make_one(kinds.LEASE, names.SCHEDULER, term)

    def _tell_models(self) -> None:
        """Has the status of `iris` be that of the system which serves, with the names that are handed on."""
        runtime, iris = (
            self.get(kind, TEAM, name)
            for kind, name in ((kinds.SELDON_RUNTIME, "seldon"), (kinds.MODEL, "iris"))
        )
        if self._bailie_serves():
            mesh, over = spec_of(runtime).get("fallbackMesh"), bool(self._own_pods(SERVERS[0]))
            listed = ["broken"] if over else ["broken", "iris"]
            told = {"mesh": "before", "names": len(listed), "listed": listed} if mesh else None
            if (runtime.get("status") or {}).get("fallback") != told:
                self.make_one(kinds.SELDON_RUNTIME, "seldon", {**runtime, "status": {"fallback": told}})
            rolled = [*_READY, {"type": "RolledOut", "status": str(over)}]
            if iris["status"]["conditions"] != rolled:
                self.make_one(kinds.MODEL, "iris", {**iris, "status": {"conditions": rolled}})
        elif self._old_operator_serves() and iris["status"]["conditions"] != _READY:
            written = {"manager": "manager", "time": _BEFORE_LOOK, "fieldsV1": {"f:status": {}}}
            metadata = {**iris["metadata"], "managedFields": [written]}
            self.make_one(
                kinds.MODEL, "iris", {**iris, "metadata": metadata, "status": {"conditions": _READY}}
            )

    def _bailie_serves(self) -> bool:
        claim = self.objects.get((kinds.LEASE.kind, TEAM, CLAIM_LEASE))
        return claim is not None and bool(claim["spec"]["holderIdentity"])

    def _own(self, kind: Kind, name: str, spec: Manifest) -> None:
        there = self.objects.get((kind.kind, TEAM, name))
        if there is not None and not is_ours(there) and kind is not kinds.DEPLOYMENT:
            return
        if there is None or spec_of(there) != spec:
            assert there is None or is_ours(there), f"{kind.kind} {name} is Seldon Core's"
            metadata = {"labels": {WORKLOAD_LABEL: name, labels.MANAGED_BY: MANAGED_BY}}
            self.make_one(kind, name, {"metadata": metadata, "spec": spec})

    def _as_controllers(self) -> None:
        for (kind, namespace, name), each in list(self.objects.items()):
            if namespace != TEAM or name == names.OPERATOR:
                continue
            if kind == kinds.DEPLOYMENT.kind:
                self._with_set(each)
            elif kind in {kinds.STATEFUL_SET.kind, kinds.REPLICA_SET.kind}:
                first = (spec_of(each).get("ordinals") or {}).get("start", 0)
                pod = f"{name}-{first}" if kind == kinds.STATEFUL_SET.kind else f"{name}-x"
                self._with_pods(each, pod)

    def _with_set(self, deployment: Manifest) -> None:
        """Adopts the ReplicaSet of a Deployment's template, or makes it, and ends others that it selects."""
        template = spec_of(deployment)["template"]
        own = f"{name_of(deployment)}-{'ours' if WORKLOAD_LABEL in template['metadata']['labels'] else 'old'}"
        selector = template["metadata"]["labels"]
        for key, each in list(self.objects.items()):
            selects = spec_of(deployment)["selector"]["matchLabels"].items() <= labels_of(each).items()
            if key[0] == kinds.REPLICA_SET.kind and selects and key[2] != own and not owners_of(each):
                del self.objects[key]
                self._collect(each, orphan=False)
        there = self.objects.get((kinds.REPLICA_SET.kind, TEAM, own))
        hashed = {**selector, "pod-template-hash": own}
        if there is None:
            spec = {
                "replicas": 1,
                "selector": {"matchLabels": hashed},
                "template": {"metadata": {"labels": dict(hashed)}, "spec": {}},
            }
            metadata = {"labels": dict(hashed), "ownerReferences": [_reference(deployment)]}
            self.make_one(kinds.REPLICA_SET, own, {"metadata": metadata, "spec": spec})
        elif not owners_of(there) and hashed.items() <= labels_of(there).items():
            there["metadata"]["ownerReferences"] = [_reference(deployment)]
        deployment["status"] = {"readyReplicas": 1}

    def _with_pods(self, owner: Manifest, name: str) -> None:
        """Adopts and releases pods by their labels, makes one that lacks, and ends one of another number."""
        selector, uid = spec_of(owner)["selector"]["matchLabels"].items(), owner["metadata"]["uid"]
        mine = []
        for key, each in list(self.objects.items()):
            if key[0] != kinds.POD.kind:
                continue
            selects, owned = selector <= labels_of(each).items(), owners_of(each)
            if owned and owned[0]["uid"] == uid and not selects:
                each["metadata"]["ownerReferences"] = []
            elif selects and (not owned or owned[0]["uid"] == uid):
                each["metadata"]["ownerReferences"] = [_reference(owner)]
                mine.append(each)
        for each in mine:
            if spec_of(owner).get("replicas") == 0 or name_of(each) != name:
                del self.objects[kinds.POD.kind, TEAM, name_of(each)]
        if spec_of(owner).get("replicas") and not any(name_of(each) == name for each in mine):
            self._start(owner, name)
        owner["status"] = {"readyReplicas": spec_of(owner).get("replicas", 1)}

    def _start(self, owner: Manifest, name: str) -> None:
        """Makes a pod, with a volume claim where the template has one."""
        spec: Manifest = {}
        for template in spec_of(owner).get("volumeClaimTemplates") or ():
            claim = f"{name_of(template)}-{name}"
            own = {"name": name_of(template), "persistentVolumeClaim": {"claimName": claim}}
            spec = {"volumes": [own, {"name": "theirs", "persistentVolumeClaim": {"claimName": USERS_CLAIM}}]}
            if (kinds.PERSISTENT_VOLUME_CLAIM.kind, TEAM, claim) not in self.objects:
                selected = {"metadata": {"labels": dict(spec_of(owner)["selector"]["matchLabels"])}}
                self.make_one(kinds.PERSISTENT_VOLUME_CLAIM, claim, selected)
        marks = {
            **spec_of(owner)["template"]["metadata"]["labels"],
            "statefulset.kubernetes.io/pod-name": name,
        }
        metadata = {"labels": marks, "ownerReferences": [_reference(owner)]}
        status = {"conditions": _READY}
        self.make_one(kinds.POD, name, {"metadata": metadata, "spec": spec, "status": status})
        if WORKLOAD_LABEL not in marks:
            self.started.append(name)

    def _tell_operator(self) -> None:
        """Has the pod of Seldon Core's operator be as its Deployment says."""
        deployment = self.get(kinds.DEPLOYMENT, self._operated_from, names.OPERATOR)
        wanted = spec_of(deployment)["replicas"]
        deployment["status"] = {"replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted}
        pod = f"{names.OPERATOR}-x"
        if not wanted:
            self.objects.pop((kinds.POD.kind, self._operated_from, pod), None)
        elif (kinds.POD.kind, self._operated_from, pod) not in self.objects:
            status = {"status": {"conditions": _READY}}
            self.make_one(kinds.POD, pod, status, self._operated_from)

    def _unanswered(self) -> Iterator[str]:
        """Yields the Envoys behind the Service of callers that could not answer for a model."""
        envoys = self._behind(names.MESH)
        if "externalName" in spec_of(self.get(kinds.SERVICE, TEAM, names.MESH)):
            for server in SERVERS:
                if not self._of_seldon_core(server):
                    yield f"the other mesh reaches no pod of {server}"
        elif not envoys:
            yield "no Envoy is behind the Service of callers"
        for each in envoys:
            for server in SERVERS:
                reaches = self._of_bailie if is_ours(each) else self._of_seldon_core
                if not reaches(server) and server not in self.tolerated:
                    yield f"{name_of(each)} reaches no pod of {server}"

    def _of_bailie(self, server: str) -> bool:
        """Says whether an Envoy of Bailie's has a pod of the server, or Envoys of before that answer."""
        asked = spec_of(self.get(kinds.SELDON_RUNTIME, TEAM, "seldon")).get("fallbackMesh")
        handed_on = bool(asked) and (self._mesh_elsewhere or bool(self._behind(names.MESH_BEFORE)))
        handed_on = handed_on and self._of_seldon_core(server)
        return bool(self._own_pods(server)) or handed_on

    def _of_seldon_core(self, server: str) -> bool:
        """Says whether an Envoy of before has the server's pod, or Envoys of Bailie's that have one."""
        found = self._behind(f"{server}-0")
        return bool(found) and all(not is_ours(each) or bool(self._own_pods(server)) for each in found)

    def _own_pods(self, server: str) -> list[Manifest]:
        pods = [each for key, each in self.objects.items() if key[0] == kinds.POD.kind and is_ours(each)]
        return [each for each in pods if labels_of(each).get(labels.SERVER) == server]

    def _behind(self, service: str) -> list[Manifest]:
        found = self.objects.get((kinds.SERVICE.kind, TEAM, service))
        selector = (spec_of(found).get("selector") or {}) if found is not None else {}
        pods = [each for key, each in self.objects.items() if key[0] == kinds.POD.kind and key[1] == TEAM]
        return [pod for pod in pods if selector and selector.items() <= labels_of(pod).items()]


def _pods_of(name: str, selector: dict[str, str], *, ours: bool = False) -> Manifest:
    marks = {**selector, **({WORKLOAD_LABEL: name} if ours else {})}
    return {
        "replicas": 1,
        "selector": {"matchLabels": dict(selector)},
        "template": {"metadata": {"labels": marks}, "spec": {}},
    }


def _reference(owner: Manifest) -> Manifest:
    return {"kind": owner["kind"], "uid": owner["metadata"]["uid"], "controller": True}
