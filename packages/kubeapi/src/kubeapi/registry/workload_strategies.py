"""The particulars of workloads, endpoint slices and claims.

Joined with `strategies.core_strategies` in `builtin`. The checks find the mistakes in a pod template that a
cluster finds, with the same field paths. After k8s.io/kubernetes `pkg/apis/apps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi.causes import Cause, not_supported
from kubeapi.registry.pod_rules import spec_causes
from kubeapi.registry.strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeapi.storage.store import Obj, Store

_MUTABLE_STATEFUL = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")


def _stateful_set(new: Obj, old: Obj | None, _store: Store) -> None:
    spec = new.setdefault("spec", {})
    _template_defaults(spec)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    if old is None:
        new["status"] = {"replicas": 0, "availableReplicas": 0}


def _deployment(new: Obj, old: Obj | None, _store: Store) -> None:
    spec = new.setdefault("spec", {})
    _template_defaults(spec)
    spec.setdefault(
        "strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    )
    spec.setdefault("progressDeadlineSeconds", 600)
    if old is None:
        new["status"] = {}


def _replica_set(new: Obj, old: Obj | None, _store: Store) -> None:
    _template_defaults(new.setdefault("spec", {}), history=False)
    if old is None:
        new["status"] = {"replicas": 0}


def _template_defaults(spec: Obj, *, history: bool = True) -> None:
    spec.setdefault("replicas", 1)
    if history:
        spec.setdefault("revisionHistoryLimit", 10)
    pod = spec.setdefault("template", {}).setdefault("spec", {})
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("dnsPolicy", "ClusterFirst")
    for container in pod.get("containers") or ():
        container.setdefault("imagePullPolicy", "IfNotPresent")
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _check_stateful_set(new: Obj, old: Obj | None) -> list[Cause]:
    causes = _check_replicas(new)
    if old is not None and _without(new["spec"], _MUTABLE_STATEFUL) != _without(
        old["spec"], _MUTABLE_STATEFUL
    ):
        allowed = ", ".join(f"'{name}'" for name in _MUTABLE_STATEFUL)
        message = f"Forbidden: updates to statefulset spec for fields other than {allowed} are forbidden"
        causes.append(Cause("spec", "FieldValueForbidden", message))
    return causes


def _check_deployment(new: Obj, old: Obj | None) -> list[Cause]:
    causes = _check_replicas(new)
    if old is not None and new["spec"].get("selector") != old["spec"].get("selector"):
        causes.append(Cause("spec.selector", "FieldValueInvalid", "Invalid value: field is immutable"))
    return causes


def _check_replicas(obj: Obj) -> list[Cause]:
    spec = obj["spec"]
    causes = list(_pod_causes(spec, "spec.template.spec"))
    if spec["replicas"] < 0:
        message = f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
        causes.append(Cause("spec.replicas", "FieldValueInvalid", message))
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not wanted:
        causes.append(Cause("spec.selector", "FieldValueRequired", "Required value"))
    elif not wanted.items() <= labels.items():
        message = "Invalid value: `selector` does not match template `labels`"
        causes.append(Cause("spec.template.metadata.labels", "FieldValueInvalid", message))
    return causes


def _pod_causes(spec: Obj, path: str) -> Iterator[Cause]:
    templates = spec.get("volumeClaimTemplates") or ()
    claimed = frozenset((claim.get("metadata") or {}).get("name") or "" for claim in templates)
    pod = spec["template"]["spec"]
    yield from spec_causes(pod, path, claimed)
    if pod["restartPolicy"] in {"OnFailure", "Never"}:
        yield not_supported(f"{path}.restartPolicy", pod["restartPolicy"], ("Always",))


def _without(spec: Obj, fields: tuple[str, ...]) -> Obj:
    return {name: value for name, value in spec.items() if name not in fields}


def _check_slice(new: Obj, old: Obj | None) -> list[Cause]:
    kind = new.get("addressType")
    causes = []
    if kind not in _ADDRESS_TYPES:
        causes.append(Cause("addressType", "FieldValueRequired", "Required value"))
    if old is not None and old.get("addressType") != kind:
        causes.append(Cause("addressType", "FieldValueInvalid", "Invalid value: field is immutable"))
    return causes + [
        Cause(f"endpoints[{number}].addresses", "FieldValueRequired", "Required value")
        for number, endpoint in enumerate(new.get("endpoints") or ())
        if not endpoint.get("addresses")
    ]


def _slice(new: Obj, _old: Obj | None, _store: Store) -> None:
    for port in new.get("ports") or ():
        port.setdefault("protocol", "TCP")


def _claim(new: Obj, old: Obj | None, _store: Store) -> None:
    if old is None:
        new["status"] = {"phase": "Pending"}


def workload_strategies() -> dict[str, Strategy]:
    """Returns the strategies of these kinds by plural."""
    return {
        "statefulsets": Strategy(prepare=_stateful_set, validate=_check_stateful_set, generation=True),
        "deployments": Strategy(prepare=_deployment, validate=_check_deployment, generation=True),
        "replicasets": Strategy(prepare=_replica_set, validate=_check_deployment, generation=True),
        "endpointslices": Strategy(prepare=_slice, validate=_check_slice, generation=True),
        "persistentvolumeclaims": Strategy(prepare=_claim),
    }
