"""When Bailie's operator has let a namespace go, and what it is waited for before callers are led to it."""

from __future__ import annotations

import pytest
from tests.support.moves import HOME
from tests.support.seldon_move import TEAM, SeldonNamespace, places

from bailie.api import kinds
from bailie.migration.seldon.install import is_let_go, is_served_beside
from bailie.migration.source import MoveSource
from bailie.scope.claim import CLAIM_LEASE
from bailie.wellknown import names

CLAIMS = {
    "none": (None, False),
    "released": ({"holderIdentity": ""}, False),
    "held": ({"holderIdentity": f"{HOME}/one", "renewTime": "2026-05-31T23:59:58.5Z"}, True),
    "of a dead operator": ({"holderIdentity": f"{HOME}/one", "renewTime": "2026-05-31T23:00:00Z"}, False),
}


async def looked_at(there):
    record = await there.executor().begin(MoveSource.SELDON_SCOPED, places())
    return await there.look(record.places), record


@pytest.mark.parametrize(("spec", "waits"), CLAIMS.values(), ids=CLAIMS.keys())
async def test_a_claim_that_is_renewed_is_waited_for(spec, waits):
    there = SeldonNamespace()
    if spec is not None:
        there.make_one(kinds.LEASE, CLAIM_LEASE, {"spec": {"leaseDurationSeconds": 15, **spec}})
    assert bool(is_let_go(*await looked_at(there))) is waits


async def test_what_lacks_is_said_part_by_part():
    there = SeldonNamespace()
    (text,) = is_served_beside(*await looked_at(there))
    assert text == f"Bailie's operator in {HOME}: it has not claimed the namespace yet; `bailie scope list`"
    there.make_one(kinds.LEASE, CLAIM_LEASE, {"spec": {"holderIdentity": f"{HOME}/one"}})
    no_room = {"type": "EnvoyReady", "status": "False", "message": "no node has room"}
    runtime = there.get(kinds.SELDON_RUNTIME, TEAM, "seldon")
    there.make_one(kinds.SELDON_RUNTIME, "seldon", {**runtime, "status": {"conditions": [no_room]}})
    assert is_served_beside(*await looked_at(there)) == (
        f"{names.SCHEDULER}: 0 of 1 pods are ready",
        f"{names.ENVOY}: 0 of 1 pods are ready (no node has room)",
        "server mlserver: it has no StatefulSet yet",
        "server triton: it has no StatefulSet yet",
    )
