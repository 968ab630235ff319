"""The beginning of a move from Seldon Core: refusals, the state before, and its file."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import yaml
from tests.support.moves import HOME, TEAM
from tests.support.seldon_move import OLD, SeldonNamespace, places

from bailie.api import kinds
from bailie.doctor.facts import InstallationView
from bailie.migration.errors import Blocked, DamagedRecord
from bailie.migration.facts import ClusterObjects, MovePlaces
from bailie.migration.record import read_record
from bailie.migration.seldon.before import digest_of, saved, seldon_places
from bailie.migration.source import MoveSource
from bailie.wellknown import names

REFUSED = {
    "no operator of Bailie's": (lambda _: None, MovePlaces(whole=True), "which operator of Bailie's"),
    "no list": (
        lambda there: there.objects.pop((kinds.CONFIG_MAP.kind, HOME, names.WATCH_LIST)),
        places(),
        "has no list of namespaces",
    ),
    "Servers as Deployments": (
        lambda there: there.make_one(kinds.DEPLOYMENT, "mlserver", {"spec": {}}),
        places(),
        "Servers that run as Deployments are not moved: mlserver",
    ),
}


@pytest.mark.parametrize(("prepare", "where", "text"), REFUSED.values(), ids=REFUSED.keys())
async def test_nothing_begins_that_could_not_end(prepare, where, text):
    there = SeldonNamespace()
    prepare(there)
    with pytest.raises(Blocked, match=text):
        await there.executor().begin(MoveSource.SELDON_SCOPED, where)
    assert there.writes == []


async def test_several_operators_of_seldon_core_are_refused():
    there = SeldonNamespace()
    operator = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)
    second = {**operator, "metadata": {**operator["metadata"], "namespace": "older"}}
    homes = (InstallationView(home=HOME, alive=True),)
    cluster = ClusterObjects(server="", upstream=(operator, second), installations=homes)
    facts = await there.look(places())
    with pytest.raises(Blocked, match=r"several operators of Seldon Core's act .*older, seldon-system"):
        seldon_places(cluster, facts, "")
    found = seldon_places(dataclasses.replace(cluster, upstream=(operator,)), facts, "")
    assert found == places()


@pytest.mark.parametrize("listed", [(), (OLD, TEAM)], ids=["stopped", "shortened"])
async def test_an_operator_that_has_let_the_namespace_go_is_found_without_a_record(listed):
    there = SeldonNamespace(listed=listed)
    executor = there.executor()
    await executor.apply(await executor.begin(MoveSource.SELDON_SCOPED, places()), "freeze")
    operator = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)
    other = copy.deepcopy(operator)
    other["metadata"] = {"name": names.OPERATOR, "namespace": "third"}
    other["spec"]["replicas"] = 0
    facts = await there.look(MovePlaces())
    cluster = dataclasses.replace(facts.cluster, upstream=(operator, other))
    assert seldon_places(cluster, facts, "").foreign == OLD


async def test_the_file_has_the_objects_of_before_and_no_secret():
    there = SeldonNamespace()
    there.make_one(kinds.SECRET, "pot", {"data": {"pot": "aG9uZXkK"}})
    text = saved(await there.look(places()))
    assert "aG9uZXkK" not in text
    objects = list(yaml.safe_load_all(text))
    kinds_of = {each["kind"] for each in objects}
    assert {"Model", "Server", "SeldonRuntime", "Service", "StatefulSet", "Role", "ConfigMap"} <= kinds_of
    assert not [each for each in objects if each["metadata"].keys() & {"uid", "resourceVersion"}]
    record = await there.executor().begin(MoveSource.SELDON_SCOPED, places())
    assert record.saved == digest_of(text)


@pytest.mark.parametrize(
    "fields", [{"foreign": "../x"}, {"redirect": "seldon-scheduler.evil.svc"}, {"central": ""}, {"home": ""}]
)
async def test_a_record_with_names_that_are_none_is_damaged(fields):
    there = SeldonNamespace(central=True)
    record = await there.executor().begin(MoveSource.SELDON_CENTRAL, places(central=True))
    assert read_record(record.manifest()) == record
    with pytest.raises(DamagedRecord):
        read_record(dataclasses.replace(record, **fields).manifest())
