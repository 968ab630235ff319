"""The particulars of built-in kinds: defaults at creation, fields that no update may change, validation.

Read by `builtin`, which puts them into the catalogue. Their functions get private copies of the objects. One
kind, one small function. A strategy may read the store (a Service looks for a free port); it never writes.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kubeapi import clock
from kubeapi.causes import Cause, forbidden, not_supported, required
from kubeapi.registry import names
from kubeapi.registry.addresses import cluster_address
from kubeapi.registry.pod_rules import key_causes, spec_causes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.registry.ports import NodePorts
    from kubeapi.storage.store import Obj, Store

_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def _nothing(_new: Obj, _old: Obj | None, _store: Store) -> None:
    return None


def _no_causes(_new: Obj, _old: Obj | None) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """The particulars of one kind.

    `prepare(new, old, store)` sets defaults and restores fields that may not change (`old` is None at
    creation); `validate(new, old)` returns the mistakes. `generation` says that the kind counts changes of
    its spec; `strict_updates` that a PUT must name the resourceVersion; `name_rule` is the rule of its names.
    """

    prepare: Callable[[Obj, Obj | None, Store], None] = _nothing
    validate: Callable[[Obj, Obj | None], list[Cause]] = _no_causes
    generation: bool = False
    strict_updates: bool = False
    name_rule: names.Rule = names.SUBDOMAIN


def _namespace(new: Obj, old: Obj | None, _store: Store) -> None:
    name = new["metadata"].get("name", "")
    new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
    new["spec"] = {"finalizers": ["kubernetes"]} if old is None else old.get("spec", {})
    if old is None:
        new["status"] = {"phase": "Active"}


def _secret(new: Obj, old: Obj | None, _store: Store) -> None:
    plain = new.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        new["data"] = {**(new.get("data") or {}), **encoded}
    new.setdefault("type", old["type"] if old else "Opaque")


def _check_secret(new: Obj, old: Obj | None) -> list[Cause]:
    causes = []
    for key, value in (new.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            causes.append(Cause(f"data[{key}]", "FieldValueInvalid", "Invalid value: must be base64"))
    if old is not None and old.get("type") != new.get("type"):
        message = f'Invalid value: "{new.get("type")}": field is immutable'
        causes.append(Cause("type", "FieldValueInvalid", message))
    return causes + _check_keys(new) + _check_immutable(new, old)


def _check_keys(new: Obj) -> list[Cause]:
    return [cause for f in ("data", "binaryData") for cause in key_causes(new.get(f) or {}, f)]


def _check_immutable(new: Obj, old: Obj | None) -> list[Cause]:
    if old is None or not old.get("immutable"):
        return []
    changed = [f for f in ("data", "binaryData", "immutable") if new.get(f) != old.get(f)]
    return [
        Cause(f, "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")
        for f in changed
    ]


def _check_config_map(new: Obj, old: Obj | None) -> list[Cause]:
    causes = [
        Cause(f"data[{key}]", "FieldValueInvalid", "Invalid value: must be a string")
        for key, value in (new.get("data") or {}).items()
        if not isinstance(value, str)
    ]
    return causes + _check_keys(new) + _check_immutable(new, old)


def _service(new: Obj, old: Obj | None, store: Store, node_ports: NodePorts) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        spec["clusterIP"] = spec.get("clusterIP") or cluster_address(new, old)
        spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    node_ports.assign(new, old, store)
    new.setdefault("status", {"loadBalancer": {}})


def _check_service(new: Obj, _old: Obj | None) -> list[Cause]:
    kind, spec = new["spec"]["type"], new["spec"]
    causes = []
    if kind not in _SERVICE_TYPES:
        causes.append(not_supported("spec.type", kind, _SERVICE_TYPES))
    if kind == "ExternalName" and not spec.get("externalName"):
        causes.append(required("spec.externalName"))
    for number, port in enumerate(spec.get("ports") or ()):
        if port["protocol"] not in _PROTOCOLS:
            causes.append(not_supported(f"spec.ports[{number}].protocol", port["protocol"], _PROTOCOLS))
    return causes


def _pod(new: Obj, old: Obj | None, _store: Store) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("serviceAccountName", "default")
    for container in spec.get("containers") or ():
        container.setdefault("imagePullPolicy", "IfNotPresent")
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")
    if old is None:
        spec.setdefault("securityContext", {})  # kubectl relies on it
        new["status"] = {"phase": "Pending", "qosClass": "Burstable"}


def _check_pod(new: Obj, old: Obj | None) -> list[Cause]:
    causes = list(spec_causes(new["spec"], "spec"))
    if old is not None and _frozen_pod_spec(new) != _frozen_pod_spec(old):
        message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
        causes.append(Cause("spec", "FieldValueForbidden", message))
    return causes


_MUTABLE_POD_FIELDS = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName")


def _frozen_pod_spec(pod: Obj) -> Obj:
    spec = {k: v for k, v in pod["spec"].items() if k not in _MUTABLE_POD_FIELDS}
    for group in ("containers", "initContainers"):
        if group in spec:
            spec[group] = [{**container, "image": ""} for container in spec[group]]
    return spec


def _event(new: Obj, old: Obj | None, _store: Store) -> None:
    if old is None:
        moment = clock.stamp()
        if not new.get("eventTime"):
            new.setdefault("firstTimestamp", moment)
            new.setdefault("lastTimestamp", new["firstTimestamp"])
        new.setdefault("type", "Normal")


def _check_role_ref(new: Obj, old: Obj | None) -> list[Cause]:
    ref = new.get("roleRef") or {}
    causes = [
        Cause(f"roleRef.{f}", "FieldValueRequired", "Required value")
        for f in ("kind", "name")
        if not ref.get(f)
    ]
    if old is not None and old.get("roleRef") != ref:
        causes.append(Cause("roleRef", "FieldValueInvalid", "Invalid value: cannot change roleRef"))
    return causes


def _role_binding(new: Obj, _old: Obj | None, _store: Store) -> None:
    ref = new.setdefault("roleRef", {})
    ref.setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in new.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"}:
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _check_role(new: Obj, _old: Obj | None) -> list[Cause]:
    return [
        Cause(
            f"rules[{i}].verbs", "FieldValueRequired", "Required value: verbs must contain at least one value"
        )
        for i, rule in enumerate(new.get("rules") or ())
        if not rule.get("verbs")
    ]


def _definition(new: Obj, old: Obj | None, _store: Store) -> None:
    """Restores the status of a CustomResourceDefinition, which is the server's own."""
    new["status"] = (old or {}).get("status", {})


def _check_definition(new: Obj, old: Obj | None) -> list[Cause]:
    """Returns the mistakes in a CustomResourceDefinition: any change of its spec, and any new one.

    The catalogue is made at the start, so a definition can get labels, but no kind can be added or changed.
    """
    if old is not None and old["spec"] == new.get("spec"):
        return []
    return [forbidden("spec", "this API serves the definitions that it was started with, as they were then")]


def core_strategies(node_ports: NodePorts) -> dict[str, Strategy]:
    """Returns the strategies of the built-in kinds by plural. Services get their ports from `node_ports`."""
    service = partial(_service, node_ports=node_ports)
    path = names.PATH_SEGMENT
    binding = Strategy(prepare=_role_binding, validate=_check_role_ref, name_rule=path)
    role = Strategy(validate=_check_role, name_rule=path)
    return {
        "namespaces": Strategy(prepare=_namespace, name_rule=names.LABEL),
        "secrets": Strategy(prepare=_secret, validate=_check_secret),
        "configmaps": Strategy(validate=_check_config_map),
        "services": Strategy(prepare=service, validate=_check_service, name_rule=names.LABEL_1035),
        "pods": Strategy(prepare=_pod, validate=_check_pod, generation=True),
        "events": Strategy(prepare=_event),
        "customresourcedefinitions": Strategy(prepare=_definition, validate=_check_definition),
        "roles": role,
        "clusterroles": role,
        "rolebindings": binding,
        "clusterrolebindings": binding,
    }
