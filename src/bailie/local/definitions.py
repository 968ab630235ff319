"""The CustomResourceDefinitions that the embedded API of `bailie up` serves.

Handed to the API by the CLI. They belong to the release that the documented `helm install` makes, so that the
chart `seldon-core-v2-crds` can be installed beside the others here, too: Helm takes over no object of others.
"""

from __future__ import annotations

from typing import Any

from bailie.api.crd import crd_manifests
from bailie.wellknown import labels

RELEASE, NAMESPACE = "seldon-core-v2-crds", "seldon-system"


def served_definitions() -> list[dict[str, Any]]:
    """Returns the seven definitions with the marks that Helm and the chart put on them."""
    marks = {
        "labels": {labels.MANAGED_BY: "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": RELEASE,
            "meta.helm.sh/release-namespace": NAMESPACE,
            "helm.sh/resource-policy": "keep",
        },
    }
    return [each | {"metadata": each["metadata"] | marks} for each in crd_manifests()]
