"""Brings the resource definitions up to date: Bailie's know every field of Seldon Core's. Pure.

Called by `seldon_steps`. They stay on the way back, for Seldon Core's operator goes on with them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from bailie.api.crd import crd_manifests
from bailie.api.kinds import CUSTOM_RESOURCE_DEFINITION
from bailie.doctor.facts import known
from bailie.migration.changes import MoveChange, create, patch
from bailie.migration.checks.cluster import lacking_fields
from bailie.migration.facts import condition_of, name_of

if TYPE_CHECKING:
    from bailie.migration.facts import MoveFacts
    from bailie.migration.record import MoveRecord

_own = cache(crd_manifests)
_CHART = "./charts/seldon-core-v2-crds"


def bring_up_to_date(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:  # noqa: ARG001
    """Makes definitions that are missing, and changes those that lack a field."""
    present = dict(known(facts.cluster.definitions))
    older, found = lacking_fields(present), []
    for manifest in _own():
        name = name_of(manifest)
        if name not in present:
            found.append(create(CUSTOM_RESOURCE_DEFINITION, manifest))
        elif name in older:
            spec = {"spec": manifest["spec"]}
            found.append(patch(CUSTOM_RESOURCE_DEFINITION, present[name], spec, chart=_CHART))
    return tuple(found)


def are_served(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Waits until the API serves every kind."""
    present = dict(known(facts.cluster.definitions))
    return tuple(
        f"definition {name_of(each)}: the API does not serve it yet"
        for each in _own()
        if condition_of(present.get(name_of(each), each), "Established").get("status") != "True"
    )
