"""The state of a namespace that Seldon Core serves, as a move's record and its file keep it. Pure.

Called by `start` before the first write, and for the file by `bailie migrate apply`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MLOPS_KINDS,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from bailie.migration.central_steps import LEAVING_OUT, overrides_of
from bailie.migration.checks.operators import home_of
from bailie.migration.errors import Blocked
from bailie.migration.facts import MovePlaces, annotations_of, name_of, spec_of
from bailie.migration.foreign import foreign_operators, operator_of
from bailie.migration.given_rights import absent, reference
from bailie.migration.record import mesh_namespace
from bailie.migration.seldon.freeze import operator_deployment
from bailie.migration.seldon.install import needed_rights, needed_token
from bailie.migration.seldon.one_by_one import servers_of_models, spanning_experiments
from bailie.migration.seldon.parts import detached_pods, envoys, own_envoys, scheduler, servers
from bailie.migration.source import MoveSource
from bailie.scope.central import namespace_of
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from bailie.migration.facts import ClusterObjects, MoveFacts, NamespaceObjects, Object
    from bailie.migration.record import MoveRecord

_SAVED = (
    *MLOPS_KINDS, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, ROLE, ROLE_BINDING, STATEFUL_SET, DEPLOYMENT,
)  # fmt: skip
_NOT_SAVED = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "ownerReferences")
"""Metadata that an API refuses or gives anew when an object is made again."""


def seldon_record(facts: MoveFacts, record: MoveRecord, *, one_by_one: bool = False) -> MoveRecord:
    """Completes the record of a move from Seldon Core. Raises Blocked."""
    _refuse(facts, record)
    held = [name_of(each) for each in facts.here.all(SERVER) if labels.HELD in annotations_of(each)]
    if one_by_one and not held:
        _refuse_one_by_one(facts.here)
    if one_by_one or held:  # held: such a move has begun
        order = tuple(sorted(held or servers(facts.here)))
        record = replace(record, one_by_one=order, placed=servers_of_models(facts.here))
    here, begun = facts.here, begun_from(facts) is not None
    record = _redirected(here, record)
    found = _operator_before(facts, record, begun=begun)
    stopped = scheduler(here)
    found = replace(
        found,
        scheduled=stopped is not None and (begun or spec_of(stopped).get("replicas") != 0),
        envoys=bool(envoys(here)),
        mesh=_mesh_elsewhere(here, record.central),
        left_out=_left_out(here.runtime()) or (("replicas",) if begun and record.redirect else ()),
        saved=digest_of(saved(facts)),
    )
    return replace(found, made=_missing(facts, found))


def _mesh_elsewhere(here: NamespaceObjects, central: str) -> str:
    """Returns the other mesh to which the Service of callers leads, or must have led before a move."""
    spec = spec_of(here.get(SERVICE, names.MESH) or {})
    moved = labels.WORKLOAD in (spec.get("selector") or {}) and not envoys(here)
    usual = f"{names.MESH}.{central}.svc.cluster.local" if moved and central else ""
    target = str(spec.get("externalName") or usual)
    return target if mesh_namespace(target) else ""


def _redirected(here: NamespaceObjects, record: MoveRecord) -> MoveRecord:
    """Notes the hand-made Service, as it is, or as it must have been where a move has begun."""
    if record.source is not MoveSource.SELDON_CENTRAL:
        return record
    service = here.get(SERVICE, names.SCHEDULER)
    redirect = str(spec_of(service).get("externalName") or "") if service is not None else ""
    central = namespace_of(redirect) or record.central or record.foreign
    usual = f"{names.SCHEDULER}.{central}.svc.cluster.local"
    return replace(record, central=central, redirect=redirect or usual)


def _operator_before(facts: MoveFacts, record: MoveRecord, *, begun: bool) -> MoveRecord:
    """Notes Seldon Core's operator, as it is, or as it must have been where a move has begun."""
    deployment = operator_deployment(facts, record)
    if deployment is None:
        return replace(record, foreign="")
    return replace(record, replicas=operator_of(deployment).wanted or int(begun))


def _left_out(runtime: Object | None) -> tuple[str, ...]:
    overrides = overrides_of(runtime) if runtime is not None else []
    own: Object = next((each for each in overrides if each.get("name") == names.SCHEDULER), {})
    return tuple(key for key, value in LEAVING_OUT if key in own and own[key] == value)


def _missing(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:
    made = absent(facts, needed_rights(facts, record))
    if facts.here.get(SECRET, names.CONTROL_PLANE_SECRET) is None:
        made = (*made, reference(needed_token(record)))
    return made if facts.here.runtime() is not None else (*made, f"{SELDON_RUNTIME.kind}/seldon")


def seldon_places(cluster: ClusterObjects, facts: MoveFacts, central: str) -> MovePlaces:
    """Returns the namespaces of Bailie's operator, of Seldon Core's, and of the central scheduler.

    Where no operator of Seldon Core's acts in the namespace, a move may have taken it from one. Raises
    Blocked where several act there.
    """
    seen, name = replace(facts, cluster=cluster), facts.here.name
    home, operators = home_of(seen), foreign_operators(seen)
    acting = [each for each in operators if each.covers(name)]
    working = [each for each in acting if each.at_work]
    working = working or [each for each in operators if name in each.let_go] or acting
    if len(working) > 1:
        raise Blocked(
            f"several operators of Seldon Core's act in the namespace: {', '.join(e.home for e in working)}",
            hint="take it from all of them but one",
        )
    foreign = working[0].home if working else ""
    return MovePlaces(
        home=home.home if home is not None else "", foreign=foreign, central=central, whole=True
    )


def begun_from(facts: MoveFacts) -> MoveSource | None:
    """Returns the source of a move from Seldon Core that has begun, as its objects tell; None for none."""
    here = facts.here
    if here.get(SERVICE, names.MESH_BEFORE) is None and not detached_pods(here):
        return None
    return MoveSource.SELDON_CENTRAL if scheduler(here) is None else MoveSource.SELDON_SCOPED


def saved(facts: MoveFacts) -> str:
    """Returns the objects of the namespace as YAML: resources, configurations, Services, rights, workloads.

    Nothing of a Secret is among them.
    """
    items = [_bare(each) for kind in _SAVED for each in facts.here.all(kind)]
    return yaml.safe_dump_all(items, sort_keys=False)


def digest_of(text: str) -> str:
    """Returns the SHA-256 digest of a text in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(facts: MoveFacts, record: MoveRecord) -> None:
    """Raises Blocked where a step could not be made, or not be undone."""
    here = facts.here
    if not record.home:
        raise Blocked(
            "which operator of Bailie's is to serve the namespace is not clear",
            hint="`bailie migrate plan` names those that are installed",
        )
    if facts.home is None or facts.home.get(CONFIG_MAP, names.WATCH_LIST) is None:
        raise Blocked(
            f"Bailie's operator in {record.home} has no list of namespaces (ConfigMap {names.WATCH_LIST})",
            hint=f"helm upgrade its release with controller.watchNamespaces; in {record.home}",
        )
    answered = envoys(here) or own_envoys(here) or record.central
    if not answered and not _mesh_elsewhere(here, ""):
        raise Blocked(
            f"Seldon Core has no Envoys in the namespace, and Service {names.MESH} leads to no other mesh: "
            "nothing could answer until Bailie has the models",
            hint=f"kubectl get deployment {names.ENVOY} --namespace {here.name}",
        )
    as_deployments = [name for name in servers(here) if here.get(DEPLOYMENT, name) is not None]
    if as_deployments:
        raise Blocked(
            f"Servers that run as Deployments are not moved: {', '.join(as_deployments)}",
            hint="set useDeploymentsForServers=false in Seldon Core's setup chart first",
        )


def _refuse_one_by_one(here: NamespaceObjects) -> None:
    """Raises Blocked where requests would fail if the Servers came over one at a time."""
    if not envoys(here):
        raise Blocked(
            "Seldon Core's Envoys are not in the namespace: nothing can lead what they ask of a Server that "
            "has come over to Bailie's",
            hint=f"make room for both copies: bailie migrate apply {here.name}",
        )
    if spanning := spanning_experiments(here):
        raise Blocked(
            f"Experiments share requests among several Servers, or it is not known of which they are: "
            f"{', '.join(spanning)}; with one Server at a time some of their requests would fail",
            hint="take these Experiments away while the namespace moves, or make room for both copies",
        )


def _bare(item: Object) -> Object:
    kept = {key: value for key, value in item["metadata"].items() if key not in _NOT_SAVED}
    head = {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "metadata": {**kept, "name": name_of(item)},
    }
    return {**head, **{key: value for key, value in item.items() if key not in {*head, "status"}}}
