"""The steps from Seldon Core on objects in memory: there, to the end, back, and killed after each write.

The stand-in checks after every write that each model is answered.
"""

from __future__ import annotations

import copy
import dataclasses

import pytest
from tests.support.moves import HOME
from tests.support.seldon_move import OLD, SERVERS, TEAM, USERS_CLAIM, SeldonNamespace, places

from bailie.api import kinds
from bailie.manifests.objects import is_ours
from bailie.migration.executor import missing_now
from bailie.migration.facts import owners_of, spec_of
from bailie.migration.printing import printed
from bailie.migration.seldon.before import begun_from
from bailie.migration.seldon_steps import SELDON_STEPS
from bailie.migration.source import MoveSource
from bailie.wellknown import labels, names

STEPS = [step.name for step in SELDON_STEPS if not step.no_return]
PATTERNS = {
    "central scheduler": {"central": True},
    "operator in the namespace": {"operated_from": TEAM, "listed": ()},
    "cluster-wide": {"listed": ()},
    "a list": {},
    "a mesh elsewhere": {"central": True, "mesh_elsewhere": True},
}


@pytest.fixture(params=PATTERNS.values(), ids=PATTERNS.keys())
def options(request):
    return request.param


_IMPATIENT = tuple(dataclasses.replace(step, patience=0.2) for step in SELDON_STEPS)
"""Everything answers at once here."""


def executor_of(there, collaborators):
    return there.executor(steps=lambda _: _IMPATIENT, **collaborators)


async def applied(there, options, until="", **collaborators):
    """Begins the move or goes on with it, as the command does."""
    executor = executor_of(there, collaborators)
    central = options.get("central", False)
    source = MoveSource.SELDON_CENTRAL if central else MoveSource.SELDON_SCOPED
    where = places(operated_from=options.get("operated_from", OLD), central=central)
    record = await executor.recorded() or await executor.begin(source, where)
    return await executor.apply(record, until)


async def rolled_back(there, _options, **collaborators):
    executor = executor_of(there, collaborators)
    if (record := await executor.recorded()) is not None:
        await executor.rollback(record)


async def finished(there, _options, **collaborators):
    executor = executor_of(there, collaborators)
    if (record := await executor.recorded()) is not None:
        await executor.finish(record)


def left_of_seldon_core(there):
    """The names of objects that are not Bailie's, but for the users' and those of the operator."""
    users = {kind.kind for kind in kinds.MLOPS_KINDS} | {
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "Lease",
        "Secret",
    }
    found = (key for key, each in there.objects.items() if key[1] == TEAM and not is_ours(each))
    return {
        f"{kind}/{name}"
        for kind, _, name in found
        if kind not in users and not name.startswith(names.OPERATOR)
    }


async def test_a_move_leaves_bailies_pods_and_nothing_of_seldon_cores(options):
    there = SeldonNamespace(**options)
    address = there.get(kinds.SERVICE, TEAM, names.MESH)["metadata"]["uid"]
    record = await applied(there, options)
    assert missing_now(await there.look(record.places), record) == ()
    assert there.started == []
    await finished(there, options)
    assert left_of_seldon_core(there) == {f"PersistentVolumeClaim/{USERS_CLAIM}"}
    service = there.get(kinds.SERVICE, TEAM, names.MESH)
    assert service["metadata"]["uid"] == address
    kept = "ClusterIP" if "mesh_elsewhere" in options else "LoadBalancer"
    assert (spec_of(service)["type"], spec_of(service)["selector"]) == (kept, {labels.NAME: names.ENVOY})
    assert {f"{server}-100" for server in SERVERS} <= own_pods(there)
    assert not [each for each in there.objects.values() if each["metadata"].get("finalizers")]
    agent = there.get(kinds.ROLE, TEAM, "agent-role")
    assert not owners_of(agent)
    assert "Role/hodometer-role" not in {f"{key[0]}/{key[2]}" for key in there.objects}


@pytest.mark.parametrize("until", ["install", "serve"])
async def test_configurations_of_seldon_core_are_put_aside_and_come_back(until):
    options = PATTERNS["operator in the namespace"]
    there = SeldonNamespace(**options)
    await applied(there, options, until)
    for kind, name in ((kinds.SELDON_CONFIG, "default"), (kinds.SERVER_CONFIG, "mlserver")):
        assert (kind.kind, TEAM, name) not in there.objects
        assert spec_of(there.get(kind, TEAM, f"{name}-before")) == {"of": "seldon core"}
        assert spec_of(there.get(kind, HOME, name)) == {"of": "bailie"}
    await rolled_back(there, options)
    assert spec_of(there.get(kinds.SERVER_CONFIG, TEAM, "mlserver")) == {"of": "seldon core"}
    await applied(there, options)
    await finished(there, options)
    assert not [key for key in there.objects if key[1] == TEAM and key[0].endswith("Config")]


def own_pods(there):
    found = [(key[2], each) for key, each in there.objects.items() if key[0] == "Pod"]
    return {name for name, each in found if is_ours(each)}


@pytest.mark.parametrize("until", STEPS)
async def test_rollback_from_each_step_leads_to_the_state_before(until, options):
    there = SeldonNamespace(**options)
    before, pods = there.state(), uids(there)
    await applied(there, options, until)
    await rolled_back(there, options)
    assert without_roles(there.state()) == without_roles(before)
    assert uids(there) == pods
    assert set(there.started) <= {f"{names.SCHEDULER}-0"}


def uids(there):
    """The uids of pods, but for those of the scheduler and of the operator, which start anew."""
    anew = (names.SCHEDULER, names.OPERATOR)
    found = {key[2]: each["metadata"]["uid"] for key, each in there.objects.items() if key[0] == "Pod"}
    return {name: uid for name, uid in found.items() if not name.startswith(anew)}


def without_roles(state):
    """Rules that were added to a Role stay."""
    return {key: each for key, each in state.items() if not key.startswith("Role/")}


@pytest.mark.parametrize("until", STEPS[STEPS.index("apart") :])
async def test_a_lost_record_is_made_anew_from_what_is_there(until, options):
    """Rights and token stay: nothing tells whether the move made them."""
    there = SeldonNamespace(**options)
    before = there.state()
    await applied(there, options, until)
    del there.objects[kinds.CONFIG_MAP.kind, TEAM, names.MIGRATION_RECORD]
    executor = executor_of(there, {})
    central = options.get("central", False)
    where = places(operated_from=options.get("operated_from", OLD), central=central)
    source = begun_from(await there.look(where))
    assert source is (MoveSource.SELDON_CENTRAL if central else MoveSource.SELDON_SCOPED)
    await executor.rollback(await executor.begin(source, where))
    found = {key: each for key, each in there.state().items() if not key.startswith(_STAY)}
    assert found == {key: each for key, each in before.items() if not key.startswith(_STAY)}


_STAY = ("Role/", "RoleBinding/", "ServiceAccount/", "Secret/")


async def moments(phase, options):
    """Returns the namespace as it is before each write of a phase, and at the end."""
    there, found = SeldonNamespace(**options), []
    if phase is not applied:
        await applied(there, options)

    async def write(change):
        found.append(copy.deepcopy(there))
        await there.write(change)

    await phase(there, options, write=write)
    return [*found, there]


PHASES = {"apply": applied, "rollback": rolled_back, "finish": finished}


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES.keys())
async def test_killed_before_any_write_and_run_again_the_end_is_the_same(phase, options):
    """A killed command leaves the state of the API, whether its last write was answered or not."""
    *before, whole = await moments(phase, options)
    assert before
    for number, there in enumerate(before):
        if options == PATTERNS["a list"] or number % 5 == 0:
            await phase(there, options)
            assert there.state() == whole.state(), f"ended before write {number}: {there.writes[-3:]}"


async def test_a_move_that_was_killed_half_way_goes_back(options):
    expected = SeldonNamespace(**options).state()
    for there in (await moments(applied, options))[1::7]:
        await rolled_back(there, options)
        assert without_roles(there.state()) == without_roles(expected)


async def test_a_rollback_that_was_killed_half_way_goes_on_to_the_end(options):
    expected = (await moments(applied, options))[-1].state()
    for there in (await moments(rolled_back, options))[1::7]:
        await applied(there, options)
        assert there.state() == expected


def commands(there):
    """The lines for the writes that were made, but for those of the record."""
    writes = [change for change in there.writes if change.name != names.MIGRATION_RECORD]
    return [change.command() for change in writes]


async def test_the_printed_lines_are_those_of_the_writes(options):
    """Controllers have to act before and after these steps, and nothing does when lines are printed."""
    there = SeldonNamespace(**options)
    record = await applied(there, options, "detach")
    there.writes.clear()
    steps = [step for step in SELDON_STEPS if step.name in {"apart", "install", "serve"}]
    text = printed(steps, await there.look(record.places), record, "apply")
    assert there.writes == []
    await applied(there, options, "serve")
    positions = [text.index(line) for line in commands(there)]
    assert positions == sorted(positions)
    assert text.count("\nkubectl ") - sum(len(step.waits) for step in steps) == len(positions)
