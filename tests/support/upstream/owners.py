"""Whose an object is: the resource that upstream's operator made it for, or a repository. Pure.

Called by `runtime`, `servers` and `resources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.upstream.facts import GitOps

if TYPE_CHECKING:
    from tests.support.upstream.facts import Manifest


def owned(manifest: Manifest, owner: Manifest) -> Manifest:
    """Returns the object with an ownerReference, as upstream's operator sets it."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def put_by(manifest: Manifest, owner: GitOps | None) -> Manifest:
    """Returns a custom resource with the marks of the tool that applies it from a repository."""
    if owner is None:
        return manifest
    metadata = manifest["metadata"]
    tracked = f"models:mlops.seldon.io/{manifest['kind']}:{metadata['namespace']}/{metadata['name']}"
    marks = {
        GitOps.ARGO: {
            "annotations": {"argocd.argoproj.io/tracking-id": tracked},
            "labels": {"app.kubernetes.io/instance": "models"},
        },
        GitOps.FLUX: {
            "labels": {
                "kustomize.toolkit.fluxcd.io/name": "models",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            },
        },
    }[owner]
    merged = {key: {**metadata.get(key, {}), **values} for key, values in marks.items()}
    return {**manifest, "metadata": {**metadata, **merged}}
