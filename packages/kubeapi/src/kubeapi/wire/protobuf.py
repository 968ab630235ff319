"""Reads the protobuf form of request bodies, which kubectl sends for some built-in kinds.

Called by `codec`. `kubectl create namespace`, `create role`, `auth can-i` and others send
`application/vnd.kubernetes.protobuf` and take JSON as the answer. The messages that such commands send are
listed below by field number; a body with another kind or field is refused rather than read in part. Pure.
Format: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding; numbers: the
`generated.proto` files of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field number -> name and type. Types: text, bytes, int, bool, time, microtime, int_or_text, texts by key
# (map), bytes by key (blobs), or another message. `[]` before it: a list; `?` behind it: a zero counts.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "ObjectMeta": {
        1: ("name", "text"),
        2: ("generateName", "text"),
        3: ("namespace", "text"),
        4: ("selfLink", "text"),
        5: ("uid", "text"),
        6: ("resourceVersion", "text"),
        7: ("generation", "int"),
        8: ("creationTimestamp", "time"),
        9: ("deletionTimestamp", "time"),
        10: ("deletionGracePeriodSeconds", "int?"),
        11: ("labels", "map"),
        12: ("annotations", "map"),
        13: ("ownerReferences", "[]OwnerReference"),
        14: ("finalizers", "[]text"),
    },
    "OwnerReference": {
        1: ("kind", "text"),
        3: ("name", "text"),
        4: ("uid", "text"),
        5: ("apiVersion", "text"),
        6: ("controller", "bool?"),
        7: ("blockOwnerDeletion", "bool?"),
    },
    "Namespace": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "NamespaceSpec"),
        3: ("status", "NamespaceStatus"),
    },
    "NamespaceSpec": {1: ("finalizers", "[]text")},
    "NamespaceStatus": {1: ("phase", "text")},
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map"),
        3: ("binaryData", "blobs"),
        4: ("immutable", "bool?"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "blobs"),
        3: ("type", "text"),
        4: ("stringData", "map"),
        5: ("immutable", "bool?"),
    },
    "ServiceAccount": {
        1: ("metadata", "ObjectMeta"),
        2: ("secrets", "[]ObjectReference"),
        3: ("imagePullSecrets", "[]LocalObjectReference"),
        4: ("automountServiceAccountToken", "bool?"),
    },
    "ObjectReference": {
        1: ("kind", "text"),
        2: ("namespace", "text"),
        3: ("name", "text"),
        4: ("uid", "text"),
        5: ("apiVersion", "text"),
        6: ("resourceVersion", "text"),
        7: ("fieldPath", "text"),
    },
    "LocalObjectReference": {1: ("name", "text")},
    "Service": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ServiceSpec"), 3: ("status", "ServiceStatus")},
    "ServiceSpec": {
        1: ("ports", "[]ServicePort"),
        2: ("selector", "map"),
        3: ("clusterIP", "text"),
        4: ("type", "text"),
        5: ("externalIPs", "[]text"),
        7: ("sessionAffinity", "text"),
        8: ("loadBalancerIP", "text"),
        9: ("loadBalancerSourceRanges", "[]text"),
        10: ("externalName", "text"),
        11: ("externalTrafficPolicy", "text"),
        12: ("healthCheckNodePort", "int"),
        13: ("publishNotReadyAddresses", "bool"),
        17: ("ipFamilyPolicy", "text"),
        18: ("clusterIPs", "[]text"),
        19: ("ipFamilies", "[]text"),
        20: ("allocateLoadBalancerNodePorts", "bool?"),
        21: ("loadBalancerClass", "text"),
        22: ("internalTrafficPolicy", "text"),
        23: ("trafficDistribution", "text"),
    },
    "ServiceStatus": {1: ("loadBalancer", "LoadBalancerStatus")},
    "LoadBalancerStatus": {},
    "ServicePort": {
        1: ("name", "text"),
        2: ("protocol", "text"),
        3: ("port", "int"),
        4: ("targetPort", "int_or_text"),
        5: ("nodePort", "int"),
        6: ("appProtocol", "text"),
    },
    "Role": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[]PolicyRule")},
    "ClusterRole": {
        1: ("metadata", "ObjectMeta"),
        2: ("rules", "[]PolicyRule"),
        3: ("aggregationRule", "AggregationRule"),
    },
    "AggregationRule": {1: ("clusterRoleSelectors", "[]LabelSelector")},
    "LabelSelector": {1: ("matchLabels", "map"), 2: ("matchExpressions", "[]LabelSelectorRequirement")},
    "LabelSelectorRequirement": {1: ("key", "text"), 2: ("operator", "text"), 3: ("values", "[]text")},
    "PolicyRule": {
        1: ("verbs", "[]text"),
        2: ("apiGroups", "[]text"),
        3: ("resources", "[]text"),
        4: ("resourceNames", "[]text"),
        5: ("nonResourceURLs", "[]text"),
    },
    "RoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "[]Subject"), 3: ("roleRef", "RoleRef")},
    "ClusterRoleBinding": {
        1: ("metadata", "ObjectMeta"),
        2: ("subjects", "[]Subject"),
        3: ("roleRef", "RoleRef"),
    },
    "Subject": {1: ("kind", "text"), 2: ("apiGroup", "text"), 3: ("name", "text"), 4: ("namespace", "text")},
    "RoleRef": {1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text")},
    "SelfSubjectAccessReview": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "SubjectAccessReviewSpec"),
        3: ("status", "SubjectAccessReviewStatus"),
    },
    "SubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
        3: ("user", "text"),
        4: ("groups", "[]text"),
        6: ("uid", "text"),
    },
    "SubjectAccessReviewStatus": {
        1: ("allowed", "bool"),
        2: ("reason", "text"),
        3: ("evaluationError", "text"),
        4: ("denied", "bool"),
    },
    "ResourceAttributes": {
        1: ("namespace", "text"),
        2: ("verb", "text"),
        3: ("group", "text"),
        4: ("version", "text"),
        5: ("resource", "text"),
        6: ("subresource", "text"),
        7: ("name", "text"),
    },
    "NonResourceAttributes": {1: ("path", "text"), 2: ("verb", "text")},
    "SelfSubjectRulesReview": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "SelfSubjectRulesReviewSpec"),
        3: ("status", "SubjectRulesReviewStatus"),
    },
    "SelfSubjectRulesReviewSpec": {1: ("namespace", "text")},
    "SubjectRulesReviewStatus": {3: ("incomplete", "bool"), 4: ("evaluationError", "text")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta"), 2: ("status", "SelfSubjectReviewStatus")},
    "SelfSubjectReviewStatus": {1: ("userInfo", "UserInfo")},
    "UserInfo": {1: ("username", "text"), 2: ("uid", "text"), 3: ("groups", "[]text")},
    "TokenRequest": {
        1: ("metadata", "ObjectMeta"),
        2: ("spec", "TokenRequestSpec"),
        3: ("status", "TokenRequestStatus"),
    },
    "TokenRequestSpec": {
        1: ("audiences", "[]text"),
        3: ("boundObjectRef", "BoundObjectReference"),
        4: ("expirationSeconds", "int?"),
    },
    "TokenRequestStatus": {1: ("token", "text"), 2: ("expirationTimestamp", "time")},
    "BoundObjectReference": {
        1: ("kind", "text"),
        2: ("apiVersion", "text"),
        3: ("name", "text"),
        4: ("uid", "text"),
    },
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int?"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool?"),
        4: ("propagationPolicy", "text"),
        5: ("dryRun", "[]text"),
    },
    "Preconditions": {1: ("uid", "text"), 2: ("resourceVersion", "text")},
    "Lease": {1: ("metadata", "ObjectMeta"), 2: ("spec", "LeaseSpec")},
    "LeaseSpec": {
        1: ("holderIdentity", "text"),
        2: ("leaseDurationSeconds", "int?"),
        3: ("acquireTime", "microtime"),
        4: ("renewTime", "microtime"),
        5: ("leaseTransitions", "int?"),
        6: ("strategy", "text"),
        7: ("preferredHolder", "text"),
    },
    "Event": {
        1: ("metadata", "ObjectMeta"),
        2: ("involvedObject", "ObjectReference"),
        3: ("reason", "text"),
        4: ("message", "text"),
        5: ("source", "EventSource"),
        6: ("firstTimestamp", "time"),
        7: ("lastTimestamp", "time"),
        8: ("count", "int"),
        9: ("type", "text"),
        10: ("eventTime", "microtime"),
        11: ("series", "EventSeries"),
        12: ("action", "text"),
        13: ("related", "ObjectReference"),
        14: ("reportingComponent", "text"),
        15: ("reportingInstance", "text"),
    },
    "EventSource": {1: ("component", "text"), 2: ("host", "text")},
    "EventSeries": {1: ("count", "int"), 2: ("lastObservedTime", "microtime")},
}
_KINDS = frozenset(
    {
        ("v1", "Namespace"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "ServiceAccount"),
        ("v1", "Service"),
        ("v1", "Event"),
        ("v1", "DeleteOptions"),
        ("meta.k8s.io/v1", "DeleteOptions"),
        ("coordination.k8s.io/v1", "Lease"),
        *(
            ("rbac.authorization.k8s.io/v1", f"{scope}{kind}")
            for scope in ("", "Cluster")
            for kind in ("Role", "RoleBinding")
        ),
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
        ("authentication.k8s.io/v1", "SelfSubjectReview"),
        ("authentication.k8s.io/v1", "TokenRequest"),
    }
)


class ProtobufError(ValueError):
    """The body is malformed, or holds a kind or field that is not read here; the text says which."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in a protobuf body, as its JSON form would be.

    Raises:
        ProtobufError: the body is malformed, or holds a kind or field that is not read here.
    """
    if not body.startswith(_MAGIC):
        raise ProtobufError("the body does not start like Kubernetes protobuf")
    try:
        return _decoded(body[len(_MAGIC) :])
    except ProtobufError:
        raise
    except (IndexError, ValueError, OverflowError, OSError) as error:  # of bytes, texts and times
        raise ProtobufError(f"the body is not valid protobuf: {error}") from None


def _decoded(data: bytes) -> dict[str, Any]:
    api_version, kind, raw = _envelope(data)
    known = kind if (api_version, kind) in _KINDS or kind == "DeleteOptions" else ""
    if not known:
        raise ProtobufError(f"{api_version} {kind} is not read as protobuf here, only as JSON or YAML")
    return {"apiVersion": api_version, "kind": kind, **_message(known, raw)}


def _envelope(data: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and the encoded object of a `runtime.Unknown`."""
    api_version, kind, raw = "", "", b""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            names = {key: text for key, text in _fields(value) if isinstance(text, bytes)}
            api_version, kind = names.get(1, b"").decode(), names.get(2, b"").decode()
        elif number == 2 and isinstance(value, bytes):
            raw = value
    return api_version, kind, raw


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ProtobufError(f"wire type {wire} is not used by Kubernetes")
        if position + length > len(data):
            raise ProtobufError("the body ends in the middle of a field")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 70:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, position
        shift += 7
    raise ProtobufError("a number is longer than 10 bytes")


def _message(name: str, data: bytes) -> dict[str, Any]:
    known = _MESSAGES[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in known:
            raise ProtobufError(
                f"field {number} of {name} is not read as protobuf here, only as JSON or YAML"
            )
        field, kind = known[number]
        if kind.startswith("[]"):
            found.setdefault(field, []).append(_value(kind[2:], value))
        elif kind in ("map", "blobs"):
            found.setdefault(field, {}).update(_entry(kind, value))
        else:
            read = _value(kind.removesuffix("?"), value)
            if kind.endswith("?") or read not in (None, "", 0, False, {}):
                found[field] = read
    return found


def _entry(kind: str, value: int | bytes) -> dict[str, str]:
    pair = dict(_fields(_bytes(value)))
    content = _bytes(pair.get(2, b""))
    text = base64.b64encode(content).decode() if kind == "blobs" else content.decode()
    return {_bytes(pair.get(1, b"")).decode(): text}


def _value(kind: str, value: int | bytes) -> Any:
    read = _SCALARS.get(kind)
    return read(value) if read else _message(kind, _bytes(value))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("a number where bytes belong")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ProtobufError("bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _time(value: int | bytes, *, micro: bool = False) -> str | None:
    parts = {number: _number(part) for number, part in _fields(_bytes(value))}
    if not parts.get(1) and not parts.get(2):
        return None
    moment = datetime.fromtimestamp(parts.get(1, 0), UTC).replace(microsecond=parts.get(2, 0) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _int_or_text(value: int | bytes) -> int | str:
    parts = dict(_fields(_bytes(value)))
    if parts.get(1):
        return _bytes(parts.get(3, b"")).decode()
    return _number(parts.get(2, 0))


_SCALARS: dict[str, Callable[[int | bytes], Any]] = {
    "text": lambda value: _bytes(value).decode(),
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "int": _number,
    "bool": lambda value: bool(_number(value)),
    "time": _time,
    "microtime": lambda value: _time(value, micro=True),
    "int_or_text": _int_or_text,
}
