"""The service account of a pod, and its token: for the containers that call the API, and for no model's code.

Called by `runtime` and `server` with pods that are merged already; the default configurations have it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.manifests.rbac import SCHEDULER_ACCOUNT, SERVER_ACCOUNT

if TYPE_CHECKING:
    from bailie.manifests.workload import Manifest

ROOT_CA_CONFIG_MAP = "kube-root-ca.crt"
"""The certificate of the API, which every namespace of a cluster has."""
ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where clients of the API look for their account's token."""
_TOKEN_SECONDS = 3607
"""The lifetime that Kubernetes gives tokens that it mounts by itself; kubelet renews them in time."""
ACCOUNT_MOUNT = {"name": "account", "mountPath": ACCOUNT_FOLDER, "readOnly": True}
ACCOUNT_VOLUME: Manifest = {
    "name": "account",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
            {"configMap": {"name": ROOT_CA_CONFIG_MAP, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                }
            },
        ]
    },
}
"""The pod's account, for the containers that mount it: the containers that call the API, and no model's
code."""
_ADDED = "bailie-account"
"""Name of the volume in pods whose template has none."""
_CALLERS = {SERVER_ACCOUNT: "agent", SCHEDULER_ACCOUNT: "scheduler"}
"""The container that calls the API, by component."""


def with_account(pod: Manifest, component: str) -> Manifest:
    """Returns the pod with the account of its component, and with the token where it is needed only.

    Fields that are stated stay. A template that was made for Seldon Core says nothing of tokens; Kubernetes
    would mount the account's into the containers of models, too.
    """
    if not (pod.get("serviceAccountName") or pod.get("serviceAccount")):
        pod = {**pod, "serviceAccountName": component}
    if "automountServiceAccountToken" in pod:
        return pod
    return _with_token(pod, _CALLERS.get(component, "")) | {"automountServiceAccountToken": False}


def _with_token(pod: Manifest, caller: str) -> Manifest:
    lacking = [each for each in pod.get("containers", ()) if each["name"] == caller and not _has_token(each)]
    if not lacking:
        return pod
    mount = {**ACCOUNT_MOUNT, "name": _ADDED}
    return {
        **pod,
        "containers": [
            {**each, "volumeMounts": [*each.get("volumeMounts", ()), mount]} if each in lacking else each
            for each in pod["containers"]
        ],
        "volumes": [*pod.get("volumes", ()), {**ACCOUNT_VOLUME, "name": _ADDED}],
    }


def _has_token(container: Manifest) -> bool:
    return any(
        mount["mountPath"].rstrip("/") == ACCOUNT_FOLDER for mount in container.get("volumeMounts", ())
    )
