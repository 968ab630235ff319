"""The kinds that this API serves by itself, by group, version and plural.

Read wherever a kind is named, and at build to cut out the definitions; the catalogue (`registry`) says how
each is served. Holds no behaviour, and imports nothing that a build does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

KUBERNETES = "1.36.0"
"""The Kubernetes whose definitions these are."""


@dataclass(frozen=True, slots=True)
class ApiKind:
    """A served resource; `group` is empty for the core group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` in the form of manifests: `v1`, `apps/v1`, …"""
        return f"{self.group}/{self.version}" if self.group else self.version


NAMESPACE = ApiKind("", "v1", "Namespace", "namespaces", namespaced=False)
CONFIG_MAP = ApiKind("", "v1", "ConfigMap", "configmaps")
SECRET = ApiKind("", "v1", "Secret", "secrets")
SERVICE = ApiKind("", "v1", "Service", "services")
SERVICE_ACCOUNT = ApiKind("", "v1", "ServiceAccount", "serviceaccounts")
EVENT = ApiKind("", "v1", "Event", "events")
POD = ApiKind("", "v1", "Pod", "pods")
PERSISTENT_VOLUME_CLAIM = ApiKind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")

STATEFUL_SET = ApiKind("apps", "v1", "StatefulSet", "statefulsets")
DEPLOYMENT = ApiKind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = ApiKind("apps", "v1", "ReplicaSet", "replicasets")
HORIZONTAL_POD_AUTOSCALER = ApiKind(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
)
POD_DISRUPTION_BUDGET = ApiKind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = ApiKind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ENDPOINT_SLICE = ApiKind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASE = ApiKind("coordination.k8s.io", "v1", "Lease", "leases")
NEW_EVENT = ApiKind("events.k8s.io", "v1", "Event", "events")
CUSTOM_RESOURCE_DEFINITION = ApiKind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)

_RBAC, _AUTHORIZATION, _AUTHENTICATION = (
    "rbac.authorization.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
)
ROLE = ApiKind(_RBAC, "v1", "Role", "roles")
ROLE_BINDING = ApiKind(_RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = ApiKind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = ApiKind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)

LOCAL_SUBJECT_ACCESS = ApiKind(_AUTHORIZATION, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
SELF_SUBJECT_ACCESS = ApiKind(
    _AUTHORIZATION, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
SELF_SUBJECT_RULES = ApiKind(
    _AUTHORIZATION, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False
)
SUBJECT_ACCESS = ApiKind(
    _AUTHORIZATION, "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False
)
SELF_SUBJECT = ApiKind(_AUTHENTICATION, "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
TOKEN_REVIEW = ApiKind(_AUTHENTICATION, "v1", "TokenReview", "tokenreviews", namespaced=False)
REVIEWS = (
    SELF_SUBJECT,
    TOKEN_REVIEW,
    LOCAL_SUBJECT_ACCESS,
    SELF_SUBJECT_ACCESS,
    SELF_SUBJECT_RULES,
    SUBJECT_ACCESS,
)
"""Kinds whose objects are answered, never stored."""
TOKEN_REQUEST = ApiKind(_AUTHENTICATION, "v1", "TokenRequest", "tokenrequests")
