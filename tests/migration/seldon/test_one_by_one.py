"""Servers that come over one after the other: there, to the end, back, and killed before each write.

The stand-in checks after every write that each model is answered, and the tests that there was room.
"""

from __future__ import annotations

import copy
import dataclasses

import pytest
from tests.support.seldon_move import SERVERS, TEAM, SeldonNamespace, places

from bailie.api import kinds
from bailie.migration.errors import Blocked
from bailie.migration.executor import missing_now
from bailie.migration.facts import annotations_of, labels_of, spec_of
from bailie.migration.printing import printed
from bailie.migration.seldon.one_by_one import is_led_here, is_over
from bailie.migration.source import MoveSource
from bailie.migration.start import steps_of
from bailie.wellknown import labels, names

FIRST, LAST = SERVERS
STEPS = (f"bring-{FIRST}", f"lead-{FIRST}", f"room-{FIRST}", f"bring-{LAST}", "move", "leave")
ENDED = STEPS[2:]
"""The steps from which the way back stops models: the first Server's pods have ended."""


@pytest.fixture(params=[True, False], ids=["central", "scoped"])
def there(request):
    return SeldonNamespace(central=request.param)


def impatient(record):
    """The steps of the move; everything answers at once here."""
    return tuple(dataclasses.replace(step, patience=0.2) for step in steps_of(record))


async def applied(there, until="", **collaborators):
    """Begins the move or goes on with it, as the command does."""
    executor = there.executor(steps=impatient, **collaborators)
    record = await executor.recorded() or await begun(there)
    return await executor.apply(record, until)


async def begun(there):
    central = (kinds.STATEFUL_SET.kind, TEAM, names.SCHEDULER) not in there.objects
    source = MoveSource.SELDON_CENTRAL if central else MoveSource.SELDON_SCOPED
    return await there.executor().begin(source, places(central=central), one_by_one=True)


async def rolled_back(there, *, interrupt=False, **collaborators):
    executor = there.executor(steps=impatient, **collaborators)
    if (record := await executor.recorded()) is not None:
        await executor.rollback(record, interrupt=interrupt)


async def interrupted(there, **collaborators):
    there.tolerated = {FIRST}
    await rolled_back(there, interrupt=True, **collaborators)
    there.tolerated = set()


async def finished(there, **collaborators):
    executor = there.executor(steps=impatient, **collaborators)
    if (record := await executor.recorded()) is not None:
        await executor.finish(record)


def server_pods(there):
    """The Servers of the pods of both systems, each pod once."""
    pods = (each for key, each in there.objects.items() if key[:2] == (kinds.POD.kind, TEAM))
    found = [labels_of(pod).get(labels.SERVER) or labels_of(pod).get(labels.BEFORE) for pod in pods]
    return sorted(each for each in found if each in SERVERS)


async def test_never_more_than_one_server_is_there_twice(there):
    rooms = []

    async def write(change):
        await there.write(change)
        rooms.append(server_pods(there))

    record = await applied(there, write=write)
    assert max(map(len, rooms)) == len(SERVERS) + 1
    assert rooms[-1] == [FIRST, LAST, LAST]
    assert there.started == []
    assert missing_now(await there.look(record.places), record) == ()
    await finished(there)
    assert server_pods(there) == [FIRST, LAST]
    left = {f"{key[0]}/{key[2]}" for key in there.objects if key[1] == TEAM}
    assert "PersistentVolumeClaim/team-models" in left
    assert not [each for each in left if each.startswith("PersistentVolumeClaim/models-")]
    assert not [each for each in there.objects.values() if labels.HELD in annotations_of(each)]


@pytest.mark.parametrize("until", ["apart", "install", "admit", *STEPS[:2]])
async def test_before_pods_have_ended_the_way_back_interrupts_nothing(there, until):
    before, pods = there.state(), uids(there)
    await applied(there, until)
    await rolled_back(there)
    assert without_roles(there.state()) == without_roles(before)
    assert uids(there) == pods


@pytest.mark.parametrize("until", ENDED)
async def test_once_pods_have_ended_the_way_back_is_refused_or_interrupts_their_models_alone(there, until):
    before, pods = there.state(), uids(there)
    await applied(there, until)
    text = rf"no pods of Server {FIRST} any more: .* about 100 s, .* \(broken; iris\)"
    writes = len(there.writes)
    with pytest.raises(Blocked, match=text) as refused:
        await rolled_back(there)
    assert "--with-interruption" in refused.value.hint
    assert len(there.writes) == writes
    await interrupted(there)
    assert without_roles(there.state()) == without_roles(before)
    assert {name for name, uid in uids(there).items() if pods[name] != uid} == {f"{FIRST}-0"}


def uids(there):
    """The uids of the pods of servers and Envoys."""
    pods = {key[2]: each for key, each in there.objects.items() if key[:2] == (kinds.POD.kind, TEAM)}
    return {
        name: each["metadata"]["uid"] for name, each in pods.items() if not name.startswith(names.SCHEDULER)
    }


def without_roles(state):
    """Rules that were added to a Role stay."""
    return {key: each for key, each in state.items() if not key.startswith("Role/")}


async def moments(there, phase):
    """Returns the namespace as it is before each write of a phase, and at the end."""
    found = []
    if phase is not applied:
        await applied(there)

    async def write(change):
        found.append(copy.deepcopy(there))
        await there.write(change)

    await phase(there, write=write)
    return [*found, there]


@pytest.mark.parametrize("phase", [applied, interrupted, finished])
async def test_killed_before_any_write_and_run_again_the_end_is_the_same(there, phase):
    *before, whole = await moments(there, phase)
    assert before
    for number, each in enumerate(before):
        await phase(each)
        assert each.state() == whole.state(), f"ended before write {number}: {each.writes[-3:]}"


async def test_a_way_back_that_was_killed_goes_forth_again(there):
    expected = (await moments(copy.deepcopy(there), applied))[-1]
    for each in (await moments(there, interrupted))[1::5]:
        each.tolerated = {FIRST}
        await applied(each)
        each.tolerated = set()
        each.obey()
        servers = {
            key: value for key, value in each.state().items() if key.startswith(("Server/", "Service/"))
        }
        assert servers.items() <= expected.state().items()


async def test_a_lost_record_is_made_anew_from_what_is_there(there):
    record = await applied(there, f"lead-{FIRST}")
    there.make_one(kinds.SERVER, "seldon-pipelinegateway", {"spec": {}})  # made by Bailie's operator since
    del there.objects[kinds.CONFIG_MAP.kind, TEAM, names.MIGRATION_RECORD]
    anew = await there.executor().begin(record.source, record.places)
    assert anew.one_by_one == SERVERS
    assert anew.placed == {"iris": FIRST, "broken": FIRST}


def elsewhere(there):
    there.objects = {
        key: each for key, each in there.objects.items() if labels_of(each).get(labels.NAME) != names.ENVOY
    }


def shared(*models, mirror=""):
    def make(there):
        candidates = [{"name": each, "weight": 1} for each in models]
        spec = {"candidates": candidates, **({"mirror": {"name": mirror}} if mirror else {})}
        there.make_one(kinds.MODEL, "resnet", {"spec": {"server": LAST}})
        there.make_one(kinds.MODEL, "anywhere", {"spec": {}})
        there.make_one(kinds.EXPERIMENT, "ab", {"spec": spec})

    return make


REFUSED = {
    "Envoys in another namespace": (elsewhere, "Seldon Core's Envoys are not in the namespace"),
    "candidates on two Servers": (shared("iris", "resnet"), "several Servers, .*: ab;"),
    "a mirror on another Server": (shared("iris", mirror="resnet"), "several Servers, .*: ab;"),
    "a Server that is not known": (shared("iris", "anywhere"), "several Servers, .*: ab;"),
}


@pytest.mark.parametrize(("prepare", "text"), REFUSED.values(), ids=REFUSED.keys())
async def test_nothing_begins_that_would_fail_requests(prepare, text):
    there = SeldonNamespace(central=True)
    prepare(there)
    with pytest.raises(Blocked, match=text):
        await begun(there)
    assert there.writes == []


async def test_an_experiment_of_one_server_comes_over_with_it():
    there = SeldonNamespace()
    shared("iris", "broken")(there)
    assert (await begun(there)).placed == {"iris": FIRST, "broken": FIRST, "resnet": LAST, "anywhere": ""}


async def test_a_model_whose_server_is_not_known_is_waited_for_before_pods_end(there):
    there.make_one(
        kinds.MODEL, "anywhere", {"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    )
    record = await applied(there, "admit")
    there.make_one(kinds.SERVER, FIRST, released(there.get(kinds.SERVER, TEAM, FIRST)))
    there.obey()
    (text,) = is_over(await there.look(record.places), record, FIRST)
    assert text.startswith("model anywhere: its scheduler has not reported")
    assert text.endswith("it may be on this Server, so name its Server in spec.server")


def released(server):
    notes = {**annotations_of(server), labels.HELD: "false"}
    return {**server, "metadata": {**server["metadata"], "annotations": notes}}


PODS = {
    "held back still": ({}, 0, 0, "server triton: 0 of 1 pods of Bailie's are ready"),
    "some of them": ({"replicas": 3}, 3, 2, "server triton: 2 of 3 pods of Bailie's are ready"),
    "all of them": ({"replicas": 3}, 3, 3, None),
    "a Server that wants none": ({"replicas": 0}, 0, 0, None),
    "a Server that somebody has deleted": (None, 0, 0, None),
}


@pytest.mark.parametrize(("spec", "replicas", "ready", "text"), PODS.values(), ids=PODS.keys())
async def test_a_server_is_over_once_it_has_its_pods(there, spec, replicas, ready, text):
    record = await applied(there, "admit")
    own = there.get(kinds.STATEFUL_SET, TEAM, LAST)
    status = {"spec": {**own["spec"], "replicas": replicas}, "status": {"readyReplicas": ready}}
    there.make_one(kinds.STATEFUL_SET, LAST, {**own, **status})
    del there.objects[kinds.SERVER.kind, TEAM, LAST]
    if spec is not None:
        there.make_one(kinds.SERVER, LAST, {"spec": spec})
    assert is_over(await there.look(record.places), record, LAST) == ((text,) if text else ())


async def test_envoys_of_before_get_the_time_to_look_a_name_up_again(there):
    record = await applied(there, f"bring-{FIRST}")
    service = there.get(kinds.SERVICE, TEAM, f"{FIRST}-0")
    spec = {**spec_of(service), "selector": {labels.WORKLOAD: names.ENVOY}}
    fields = {"f:spec": {"f:selector": {}}}
    written = {"manager": "python-httpx", "time": "2026-05-31T23:59:50Z", "fieldsV1": fields}
    metadata = {**service["metadata"], "managedFields": [written]}
    there.make_one(kinds.SERVICE, f"{FIRST}-0", {**service, "metadata": metadata, "spec": spec})
    (text,) = is_led_here(await there.look(record.places), record, FIRST)
    assert text == f"Service {FIRST}-0: Seldon Core's Envoys look it up again, at most 20 s from now"


async def test_the_printed_lines_are_those_of_the_writes(there):
    record = await applied(there, "admit")
    there.writes.clear()
    steps = [step for step in steps_of(record) if step.name in STEPS[:4]]
    text = printed(steps, await there.look(record.places), record, "apply")
    assert there.writes == []
    await applied(there, f"bring-{LAST}")
    lines = [each.command() for each in there.writes if each.name != names.MIGRATION_RECORD]
    positions = [text.index(line) for line in lines]
    assert positions == sorted(positions)
    assert len(positions) == 4
    assert f"kubectl wait pods --for=delete -l bailie.io/before={FIRST}" in text


async def test_the_step_that_ends_pods_says_what_the_way_back_costs(there):
    record = await begun(there)
    titles = {step.name: step.title for step in steps_of(record)}
    assert titles[f"room-{FIRST}"].endswith("from here on a rollback stops its models for about 100 s")
    assert not [name for name in titles if name in {f"lead-{LAST}", f"room-{LAST}"}]
