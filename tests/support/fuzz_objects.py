"""Good objects of the embedded API by where they are created, and the formats in which they may come.

What the fuzzers begin from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NAMESPACE = "fuzz"
JSON, YAML = "application/json", "application/yaml"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
CORE, SPACE = "/api/v1", f"/api/v1/namespaces/{NAMESPACE}"
OURS = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{NAMESPACE}"


@dataclass(frozen=True)
class Request:
    """One request; `path` has its query."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


_POD_SPEC = {
    "volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}}],
    "containers": [
        {
            "name": "c",
            "image": "i",
            "command": ["true"],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "ports": [{"name": "http", "containerPort": 80}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
        }
    ],
}
_LABELS = {"app": "x"}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": _POD_SPEC}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
OBJECTS: dict[str, dict[str, Any]] = {
    f"{SPACE}/pods": {"spec": _POD_SPEC},
    f"{SPACE}/configmaps": {"data": {"k": "v"}, "binaryData": {"b": "eA=="}},
    f"{SPACE}/secrets": {"stringData": {"k": "v"}, "data": {"b": "eA=="}, "type": "Opaque"},
    f"{SPACE}/services": {
        "spec": {
            "type": "NodePort",
            "selector": _LABELS,
            "ports": [{"name": "a", "port": 80, "targetPort": "http"}],
        }
    },
    f"{SPACE}/serviceaccounts": {"secrets": [{"name": "s"}]},
    f"{SPACE}/persistentvolumeclaims": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
    f"{SPACE}/events": {
        "involvedObject": {"kind": "Pod", "name": "p"},
        "reason": "R",
        "message": "m",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    },
    f"{CORE}/namespaces": {"metadata": {"labels": _LABELS}},
    f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events": {
        "regarding": {"kind": "Pod", "name": "p"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
    },
    f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments": {
        "spec": {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}
    },
    f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets": {
        "spec": {
            "serviceName": "s",
            "selector": {"matchLabels": _LABELS},
            "template": _TEMPLATE,
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
        }
    },
    f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets": {
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": _LABELS}}
    },
    f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "a", "port": 80}],
    },
    f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases": {
        "spec": {"holderIdentity": "h", "leaseDurationSeconds": 4, "leaseTransitions": 1}
    },
    f"{_RBAC}/namespaces/{NAMESPACE}/roles": {
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    },
    f"{_RBAC}/namespaces/{NAMESPACE}/rolebindings": {
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}],
    },
    f"{_RBAC}/clusterroles": {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
    f"{OURS}/models": {
        "spec": {"storageUri": "/m", "requirements": ["sklearn"], "memory": "1Mi", "replicas": 1}
    },
    f"{OURS}/servers": {"spec": {"serverConfig": "mlserver", "replicas": 1, "podSpec": _POD_SPEC}},
    f"{OURS}/seldonruntimes": {
        "spec": {"seldonConfig": "default", "overrides": [{"name": "s", "replicas": 1}]}
    },
    f"{OURS}/serverconfigs": {"spec": {"podSpec": _POD_SPEC}},
    f"{OURS}/seldonconfigs": {"spec": {"components": [{"name": "seldon-envoy", "podSpec": _POD_SPEC}]}},
    f"{OURS}/experiments": {
        "spec": {"candidates": [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}]}
    },
    f"{OURS}/pipelines": {
        "spec": {"steps": [{"name": "a", "inputs": ["b.outputs"]}], "output": {"steps": ["a"]}}
    },
}
"""A good object by the path of its collection."""
POSTED: dict[str, dict[str, Any]] = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": {"spec": {"namespace": NAMESPACE}},
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": {
        "spec": {"user": "u", "groups": ["g"], "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    },
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": {},
    "/apis/authentication.k8s.io/v1/tokenreviews": {"spec": {"token": "t"}},
    f"{SPACE}/serviceaccounts/default/token": {"spec": {"expirationSeconds": 600, "audiences": ["a"]}},
}
"""What is asked with a POST and not stored."""
