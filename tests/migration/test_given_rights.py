"""Rights that are filled up and taken away again, beside those that were there before."""

from __future__ import annotations

import dataclasses

from tests.support.moves import TEAM
from tests.support.seldon_move import SeldonNamespace, places

from bailie.api import kinds
from bailie.kube.client import kind_of
from bailie.migration.given_rights import absent, give, take
from bailie.migration.source import MoveSource

_GROUP = "rbac.authorization.k8s.io"
ACCOUNT = {"kind": "ServiceAccount", "name": "operator", "namespace": "bailie"}
OTHER = {"kind": "ServiceAccount", "name": "operator", "namespace": "seldon"}
RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


def wanted(kind, **fields):
    metadata = {"name": "manager", "namespace": TEAM}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}


MANIFESTS = (
    wanted(kinds.SERVICE_ACCOUNT),
    wanted(kinds.ROLE, rules=[RULE]),
    wanted(
        kinds.ROLE_BINDING,
        roleRef={"apiGroup": _GROUP, "kind": "Role", "name": "manager"},
        subjects=[ACCOUNT],
    ),
)


async def there_and_back(there):
    """Gives the rights and takes them; returns the RoleBinding's accounts in between."""
    record = await there.executor().begin(MoveSource.SELDON_SCOPED, places())
    record = dataclasses.replace(record, made=absent(await there.look(record.places), MANIFESTS))
    for change in give(await there.look(record.places), MANIFESTS):
        await there.write(change)
    assert give(await there.look(record.places), MANIFESTS) == ()
    between = there.get(kinds.ROLE_BINDING, TEAM, "manager")["subjects"]
    for change in take(await there.look(record.places), record, MANIFESTS):
        await there.write(change)
    assert take(await there.look(record.places), record, MANIFESTS) == ()
    return between


async def test_what_was_missing_is_made_and_deleted():
    there = SeldonNamespace()
    before = there.state()
    assert await there_and_back(there) == [ACCOUNT]
    assert there.state() == before


async def test_another_account_keeps_its_rights():
    there = SeldonNamespace()
    there.make_one(kinds.ROLE, "manager", {"rules": [{**RULE, "verbs": ["list"]}]})
    there.make_one(kinds.ROLE_BINDING, "manager", {"subjects": [OTHER]})
    assert await there_and_back(there) == [OTHER, ACCOUNT]
    assert there.get(kinds.ROLE_BINDING, TEAM, "manager")["subjects"] == [OTHER]


async def test_rights_that_an_administrator_gave_beforehand_stay():
    there = SeldonNamespace()
    for each in MANIFESTS:
        there.put(kind_of(each), TEAM, "manager", each)
    before = there.state()
    await there_and_back(there)
    assert there.state() == before
