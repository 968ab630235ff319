"""Which list is left to Seldon Core's operator, and when it is silent."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.seldon_move import OLD, TEAM, SeldonNamespace, places

from bailie.api import kinds
from bailie.doctor.facts import Unknown
from bailie.migration.foreign import ForeignOperator, containers_with, operator_of
from bailie.migration.seldon.freeze import give_back, has_it_again, is_silent, others
from bailie.migration.source import MoveSource
from bailie.wellknown import labels, names

LEFT = {
    "another on the list": ({OLD, TEAM, "other"}, {TEAM, "other"}, {OLD, "other"}),
    "models in its own namespace": ({OLD, TEAM}, {OLD, TEAM}, {OLD}),
    "alone on the list": ({OLD, TEAM}, {TEAM}, set()),
    "alone in the cluster": (None, {TEAM}, set()),
    "others in the cluster": (None, {TEAM, "x", "y"}, {OLD, "x", "y"}),
    "a list, and no right to look": ({OLD, TEAM}, Unknown("forbidden"), {OLD}),
}


@pytest.mark.parametrize(("listed", "running", "left"), LEFT.values(), ids=LEFT.keys())
async def test_the_list_that_is_left_is_never_that_of_the_whole_cluster(listed, running, left):
    operator = ForeignOperator(home=OLD, namespaces=None if listed is None else frozenset(listed))
    facts = await SeldonNamespace().look(places())
    known = running if isinstance(running, Unknown) else frozenset(running)
    assert others(dataclasses.replace(facts, runtimes_in=known), operator, TEAM) == left


def test_the_operator_of_the_namespace_itself_stops():
    operator = ForeignOperator(home=TEAM, namespaces=frozenset({TEAM, "other"}))
    assert others(None, operator, TEAM) == frozenset()


LISTS = {
    "a variable": (["--clusterwide=true", "--watch-namespaces=$(LIST)"], [{"name": "LIST", "value": "a"}]),
    "the flag itself": (["--clusterwide=true", "--watch-namespaces=a,b"], []),
    "a variable from elsewhere": (["--clusterwide=true", "--watch-namespaces=$(LIST)"], []),
    "no list": (["--clusterwide=true"], []),
}


@pytest.mark.parametrize(("flags", "variables"), LISTS.values(), ids=LISTS.keys())
def test_the_list_is_changed_where_the_operator_reads_it(flags, variables):
    manager = {"name": "manager", "image": "x", "args": flags, "env": variables}
    spec = {"template": {"spec": {"containers": [manager, {"name": "sidecar"}]}}}
    deployment = {"metadata": {"name": names.OPERATOR, "namespace": OLD}, "spec": spec}
    changed = containers_with(deployment, ["c", "b"])
    assert [each["name"] for each in changed] == ["manager", "sidecar"]
    seen = operator_of({**deployment, "spec": {"template": {"spec": {"containers": changed}}}})
    assert seen.namespaces == {OLD, "b", "c"}
    assert manager["args"] == flags


async def test_the_variables_of_the_operator_stand_in_no_record():
    there = SeldonNamespace()
    deployment = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)
    (manager,) = deployment["spec"]["template"]["spec"]["containers"]
    manager["env"].append({"name": "PASSWORD", "value": "aG9uZXkK"})
    executor = there.executor()
    record = await executor.apply(await executor.begin(MoveSource.SELDON_SCOPED, places()), "freeze")
    (line,) = record.log
    assert line.change.endswith("in namespace seldon-system: its list of namespaces is seldon-system")
    assert "aG9uZXkK" not in str(there.get(kinds.CONFIG_MAP, TEAM, names.MIGRATION_RECORD))
    (changed,) = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["spec"]["template"]["spec"]["containers"]
    assert changed["env"][1:] == [{"name": "PASSWORD", "value": "aG9uZXkK"}]


async def looked_at(there):
    executor = there.executor()
    record = await executor.begin(MoveSource.SELDON_SCOPED, places())
    return await there.look(record.places), record


WRITTEN = {
    "a moment ago": ("2026-05-31T23:59:58Z", "manager", True),
    "long ago": ("2026-05-31T23:59:50Z", "manager", False),
    "by somebody else": ("2026-05-31T23:59:58Z", "kubectl", False),
}


@pytest.mark.parametrize(("time", "manager", "waits"), WRITTEN.values(), ids=WRITTEN.keys())
async def test_an_operator_that_wrote_a_moment_ago_is_waited_for(time, manager, waits):
    there = SeldonNamespace()
    model = there.get(kinds.MODEL, TEAM, "iris")
    model["metadata"]["managedFields"] = [{"manager": manager, "time": time}]
    waited = is_silent(*await looked_at(there))
    assert waited == ((f"Seldon Core's operator: it wrote in the namespace at {time}",) if waits else ())


async def test_an_operator_whose_pod_has_not_ended_is_waited_for():
    there = SeldonNamespace()
    there.make_one(kinds.POD, f"{names.OPERATOR}-old", {"status": {}}, OLD)
    (text,) = is_silent(*await looked_at(there))
    assert text == f"Seldon Core's operator in {OLD}: 1 of 1 pods are ready, 1 others have not ended"


async def frozen(listed, *beside):
    """A namespace that the operator has let go, with the record; `beside` have runtimes, too."""
    there = SeldonNamespace(listed=listed)
    there.runtimes |= set(beside)
    executor = there.executor()
    record = await executor.apply(await executor.begin(MoveSource.SELDON_SCOPED, places()), "freeze")
    return there, record


async def given_back(there, record):
    """The namespaces of the operator after the way back of the step; None for the whole cluster."""
    for change in give_back(await there.look(places()), record):
        await there.write(change)
    assert give_back(await there.look(places()), record) == ()
    return operator_of(there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)).namespaces


SCOPES = {
    "a list": ((OLD, TEAM), (), {OLD, TEAM}),
    "the whole cluster": ((), ("other",), None),
    "an operator that stopped": ((), (), None),
}


@pytest.mark.parametrize(("listed", "beside", "again"), SCOPES.values(), ids=SCOPES.keys())
async def test_the_operator_gets_back_the_scope_that_its_mark_says(listed, beside, again):
    assert await given_back(*await frozen(listed, *beside)) == again


def marks(there, **of):
    """The marks of the operator, after those of namespaces that it has let go beside."""
    annotations = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["metadata"].setdefault("annotations", {})
    annotations |= {f"{labels.LET_GO}{name}": mark for name, mark in of.items()}
    found = {key.removeprefix(labels.LET_GO): mark for key, mark in annotations.items()}
    return {name: mark for name, mark in found.items() if mark is not None}


async def test_an_operator_of_the_whole_cluster_does_not_get_what_is_still_away():
    there, record = await frozen((), "x", "other")
    there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["spec"]["template"]["spec"]["containers"] = (
        containers_with(there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR), {OLD, "x"})
    )
    marks(there, other="a list")
    assert await given_back(there, record) == {OLD, TEAM, "x"}
    assert marks(there) == {"other": "the whole cluster"}


@pytest.mark.parametrize(("listed", "mark"), [((), "the whole cluster"), ((OLD, TEAM, "other"), "a list")])
async def test_an_operator_that_stopped_for_another_namespace_starts_without_it(listed, mark):
    there, record = await frozen(listed, "other")
    there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["spec"]["replicas"] = 0
    assert marks(there, other="2") == {TEAM: mark, "other": "2"}
    assert await given_back(there, record) == {OLD, TEAM}
    assert there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["spec"]["replicas"] == 2
    assert marks(there) == {"other": mark}


async def test_a_list_that_somebody_has_mended_stays():
    there, record = await frozen((OLD, TEAM))
    deployment = there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)
    (manager,) = deployment["spec"]["template"]["spec"]["containers"]
    manager["env"][0]["value"] = ""
    assert await given_back(there, record) is None


async def test_without_a_mark_the_list_stays_and_the_wait_says_what_it_lacks():
    there, record = await frozen((OLD, TEAM))
    there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["metadata"]["annotations"].clear()
    assert await given_back(there, record) == {OLD}
    assert f"its list lacks {TEAM}; put it there" in has_it_again(await there.look(places()), record)[0]


async def test_without_a_mark_an_operator_that_stopped_is_waited_for():
    there, record = await frozen(())
    there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["metadata"]["annotations"].clear()
    assert await given_back(there, record) is None
    (text, *_) = has_it_again(await there.look(places()), record)
    assert text == f"Seldon Core's operator in {OLD}: it is stopped; start it, with replicas: 1 as before"
