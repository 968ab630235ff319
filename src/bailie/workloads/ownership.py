"""The owner of the number of replicas, read from `metadata.managedFields`. Pure.

Called by `workloads.kubernetes`. The manager that scaled last (`kubectl scale`, an autoscaler) or applies the
field owns it; a plain edit owns nothing, for an earlier operator may have written it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.manifests.workload import Manifest

OURS = "bailie"


def scaled_by(controller: Manifest) -> str:
    """Returns the manager that sets the replicas in our place, empty when there is none."""
    for entry in controller["metadata"].get("managedFields") or ():
        claims = entry.get("subresource") == "scale" or entry.get("operation") == "Apply"
        if claims and entry.get("manager") != OURS and _has_replicas(entry):
            return str(entry.get("manager") or "somebody")
    return ""


def _has_replicas(entry: Mapping[str, Mapping[str, Mapping[str, object]]]) -> bool:
    return "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
