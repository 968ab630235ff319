"""The Kubernetes kinds that Bailie reads or writes, by group, version and plural.

A list without behaviour, for every package that talks to an API server.
"""

from __future__ import annotations

from dataclasses import dataclass

MLOPS_GROUP = "mlops.seldon.io"
MLOPS_VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A served resource; `group` is empty for the core group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` as manifests say it: `v1`, `apps/v1`, …"""
        return f"{self.group}/{self.version}" if self.group else self.version


def _mlops(kind: str, plural: str) -> Kind:
    return Kind(MLOPS_GROUP, MLOPS_VERSION, kind, plural)


MODEL = _mlops("Model", "models")
PIPELINE = _mlops("Pipeline", "pipelines")
EXPERIMENT = _mlops("Experiment", "experiments")
SERVER = _mlops("Server", "servers")
SERVER_CONFIG = _mlops("ServerConfig", "serverconfigs")
SELDON_RUNTIME = _mlops("SeldonRuntime", "seldonruntimes")
SELDON_CONFIG = _mlops("SeldonConfig", "seldonconfigs")
MLOPS_KINDS = (MODEL, PIPELINE, EXPERIMENT, SERVER, SERVER_CONFIG, SELDON_RUNTIME, SELDON_CONFIG)

NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE = Kind("", "v1", "Service", "services")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("", "v1", "Event", "events")
POD = Kind("", "v1", "Pod", "pods")
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
HORIZONTAL_POD_AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
"""Of KEDA, an autoscaler; many clusters do not serve the kind."""
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
