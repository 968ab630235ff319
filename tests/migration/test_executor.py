"""The real steps, carried out on objects in memory: there, back, killed after each write, and disturbed."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
from tests.support.moves import CENTRAL, PLACES, TEAM, CentralNamespace, Killed, Quiet

from bailie.api.kinds import CONFIG_MAP, EXPERIMENT, LEASE, MODEL, POD, ROLE, SELDON_RUNTIME, SERVER, SERVICE
from bailie.kube.errors import ApiError, Forbidden, Unreachable
from bailie.migration.central_steps import CENTRAL_STEPS
from bailie.migration.changes import patch
from bailie.migration.errors import Blocked, BrokenOff, DamagedRecord, PastReturn, Paused, WaitEnded
from bailie.migration.executor import missing_now
from bailie.migration.record import ABOUT_TO_FINISH, NAME
from bailie.migration.source import MoveSource
from bailie.migration.steps import nothing
from bailie.scope.central import asked_of, served_of
from bailie.wellknown import names

SOURCE = MoveSource.BAILIE_CENTRAL
STEPS = [step.name for step in CENTRAL_STEPS if not step.no_return]
KINDS = {
    "the field": {},
    "no rights yet": {"rights": False},
    "a hand-made Service": {"hand_made": True},
    "a list with others": {"others": ("other",)},
    "any namespace": {"others": ("*",)},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def options(request):
    return request.param


async def applied(there, until=""):
    """Begins the move or goes on with it, as the command does."""
    executor = there.executor()
    record = await executor.recorded() or await executor.begin(SOURCE, PLACES)
    return await executor.apply(record, until)


async def rolled_back(there):
    executor = there.executor()
    if (record := await executor.recorded()) is not None:
        await executor.rollback(record)


async def finished(there):
    executor = there.executor()
    if (record := await executor.recorded()) is not None:
        await executor.finish(record)


async def test_a_move_leaves_a_scheduler_of_its_own_and_nothing_of_the_central_one(options):
    there = CentralNamespace(**options)
    record = await applied(there)
    assert missing_now(await there.look(PLACES), record) == ()
    assert "/" not in there.get(LEASE, TEAM, names.SCHEDULER)["spec"]["holderIdentity"]
    await finished(there)
    assert asked_of(there.get(SELDON_RUNTIME, TEAM, "seldon")) == ""
    assert TEAM not in served_of(there.get(SELDON_RUNTIME, CENTRAL, "seldon"))
    assert there.get(ROLE, TEAM, "seldon-scheduler-role")["rules"]
    assert not [key for key in there.objects if "central-scheduler" in key[2] or key[0] == "ConfigMap"]


async def test_a_scheduler_that_was_disabled_beside_a_hand_made_service_is_enabled():
    there = CentralNamespace(hand_made=True)
    await applied(there)
    (override,) = there.get(SELDON_RUNTIME, TEAM, "seldon")["spec"]["overrides"]
    assert override == {"name": "seldon-scheduler", "podSpec": {"priority": 1}}


async def test_names_of_others_stay_on_the_list_of_the_central_scheduler():
    there = CentralNamespace(others=("other", "third"))
    await applied(there)
    central = there.get(SELDON_RUNTIME, CENTRAL, "seldon")
    assert served_of(central) == ("other", "third")
    there.put(SELDON_RUNTIME, CENTRAL, "seldon", {**central, "spec": {"servesNamespaces": ["other", "new"]}})
    await rolled_back(there)
    assert served_of(there.get(SELDON_RUNTIME, CENTRAL, "seldon")) == ("other", "new", TEAM)


@pytest.mark.parametrize("until", STEPS)
@pytest.mark.parametrize("kind", [each for each in KINDS if each != "a hand-made Service"])
async def test_rollback_from_each_step_leads_to_the_state_before(until, kind):
    options = KINDS[kind]
    there = CentralNamespace(**options)
    before = there.state()
    await applied(there, until)
    await rolled_back(there)
    assert there.state() == before


@pytest.mark.parametrize("until", STEPS[1:])
async def test_after_a_rollback_the_field_says_what_a_hand_made_service_did(until):
    there = CentralNamespace(hand_made=True)
    await applied(there, until)
    await rolled_back(there)
    assert asked_of(there.get(SELDON_RUNTIME, TEAM, "seldon")) == CENTRAL
    assert "externalName" not in there.get(SERVICE, TEAM, names.SCHEDULER)["spec"]


ENDS = {
    "killed": (Killed(), False),
    "rights gone": (Forbidden("seldonruntimes is forbidden"), False),
    "no answer": (Unreachable("https://api: reset"), True),
    "too many requests": (ApiError("too many requests", status=429), False),
    "a server that fails": (ApiError("etcdserver: leader changed", status=500), True),
}


@pytest.mark.parametrize("phase", [applied, rolled_back, finished])
@pytest.mark.parametrize(("failure", "unanswered"), ENDS.values(), ids=ENDS.keys())
async def test_ended_at_any_write_and_run_again_the_end_is_the_same(phase, options, failure, unanswered):
    whole = await prepared(phase, options)
    ready = len(whole.writes)
    await phase(whole)
    assert len(whole.writes) > ready
    for number in range(ready, len(whole.writes)):
        there = await prepared(phase, options)
        there.kill_after, there.failure, there.unanswered = number, failure, unanswered
        with pytest.raises((Killed, ApiError, BrokenOff)) as ended:
            await phase(there)
        assert str(failure) in str(ended.value)
        there.kill_after = None
        await phase(there)
        assert there.state() == whole.state(), f"ended at write {number}: {there.writes}"
        assert (CONFIG_MAP.kind, TEAM, NAME) in there.objects or phase is not applied


async def prepared(phase, options):
    there = CentralNamespace(**options)
    if phase is not applied:
        await applied(there)
    return there


@pytest.mark.parametrize("phase", [applied, rolled_back])
async def test_a_move_that_was_killed_half_way_can_go_the_other_way(phase, options):
    there = await prepared(phase, options)
    writes = len(there.writes)
    other = rolled_back if phase is applied else applied
    there.kill_after = writes + 3
    with pytest.raises(Killed):
        await phase(there)
    there.kill_after = None
    await other(there)
    central = asked_of(there.get(SELDON_RUNTIME, TEAM, "seldon"))
    assert central == ("" if other is applied else CENTRAL) or options.get("hand_made")


def ask_for_central(there):
    """Sets the field again, as a GitOps controller does."""
    runtime = there.get(SELDON_RUNTIME, TEAM, "seldon")
    owned = {"f:spec": {"f:schedulerNamespace": {}}}
    fields = [{"manager": "argocd-controller", "time": "2026-02-02T00:00:00Z", "fieldsV1": owned}]
    metadata = {**runtime["metadata"], "managedFields": fields}
    spec = {**runtime["spec"], "schedulerNamespace": CENTRAL}
    there.put(SELDON_RUNTIME, TEAM, "seldon", {**runtime, "metadata": metadata, "spec": spec})


class Twin(Quiet):
    """Undoes the hand-over while the move waits for something else."""

    def __init__(self, there):
        self._there = there

    def waits(self, texts):
        if texts:
            ask_for_central(self._there)


async def test_a_change_that_somebody_undoes_pauses_the_move_and_is_named():
    there = CentralNamespace()
    never = dataclasses.replace(CENTRAL_STEPS[0], name="later", arrived=lambda _, __: ("x: y",))
    executor = there.executor(steps=lambda _: (CENTRAL_STEPS[2], never), tell=Twin(there))
    record = await executor.begin(SOURCE, PLACES)
    text = (
        r"undid a change of step scheduler: spec.schedulerNamespace of SeldonRuntime seldon in namespace "
        r"team \(last written by argocd-controller at 2026-02-02.*\); needed again: patch"
    )
    with pytest.raises(Paused, match=text):
        await executor.apply(record)


async def test_a_writer_that_undoes_each_write_at_once_pauses_the_move_and_is_named():
    there = CentralNamespace()

    async def write(change):
        await there.write(change)
        ask_for_central(there)

    executor = there.executor(write=write)
    record = await executor.begin(SOURCE, PLACES)
    with pytest.raises(Paused, match=r"step scheduler: .*argocd-controller at 2026.*, again and again"):
        await executor.apply(record)


STEPS_OF = {step.name: step for step in CENTRAL_STEPS}


@pytest.mark.parametrize("phase", [rolled_back, finished])
async def test_a_change_that_is_undone_on_the_way_back_or_at_the_end_pauses_the_move(phase):
    there = CentralNamespace()
    await applied(there)
    waiting = dataclasses.replace(
        STEPS_OF["rights"], arrived=lambda _, __: ("x: y",), returned=lambda _, __: ("x: y",)
    )
    order = (waiting, STEPS_OF["scheduler"])
    if phase is finished:
        order = tuple(dataclasses.replace(each, no_return=True) for each in reversed(order))
    executor = there.executor(steps=lambda _: order, tell=Undoing(there, phase))
    record = await executor.recorded()
    with pytest.raises(Paused, match=r"undid a change of step scheduler: spec\.schedulerNamespace of"):
        await (executor.rollback if phase is rolled_back else executor.finish)(record)


class Undoing(Quiet):
    """Changes the field to what it was before the command, while the move waits."""

    def __init__(self, there, phase):
        self._there, self._central = there, None if phase is rolled_back else CENTRAL

    def waits(self, texts):
        if "x: y" in texts:
            runtime = self._there.get(SELDON_RUNTIME, TEAM, "seldon")
            spec = {**runtime["spec"], "schedulerNamespace": self._central}
            self._there.put(SELDON_RUNTIME, TEAM, "seldon", {**runtime, "spec": spec})


class SecondOperator(Quiet):
    """Seldon Core's operator wakes up after the first write, and puts its finalizer on a Model."""

    def __init__(self, there):
        self._there = there

    def wrote(self, change):
        model = self._there.get(MODEL, TEAM, "iris")
        owned = {"f:metadata": {"f:finalizers": {}}}
        fields = [{"manager": "manager", "time": "2026-02-02T00:00:00Z", "fieldsV1": owned}]
        metadata = {**model["metadata"], "managedFields": fields, "finalizers": ["seldon.model.finalizer"]}
        api = "mlops.seldon.io/v1alpha1"
        self._there.put(MODEL, TEAM, "iris", {**model, "apiVersion": api, "metadata": metadata})


@pytest.mark.parametrize("phase", ["apply", "rollback", "finish"])
@pytest.mark.parametrize("alone", [True, False])
async def test_a_second_operator_pauses_every_step_that_is_to_be_alone(phase, alone):
    there = CentralNamespace()
    there.put(
        MODEL, TEAM, "iris", {**there.get(MODEL, TEAM, "iris"), "apiVersion": "mlops.seldon.io/v1alpha1"}
    )
    record = await applied(there) if phase != "apply" else await there.executor().begin(SOURCE, PLACES)
    quiet = nothing if alone else None
    steps = [dataclasses.replace(step, quiet=quiet, quiet_back=quiet) for step in CENTRAL_STEPS]
    executor = there.executor(steps=lambda _: tuple(steps), tell=SecondOperator(there))
    if not alone:
        await getattr(executor, phase)(record)
        return
    with pytest.raises(Paused, match=r"Model iris .* wrote metadata.finalizers \(manager at 2026") as paused:
        await getattr(executor, phase)(record)
    assert f"bailie migrate {'finish' if phase == 'finish' else 'rollback'} {TEAM}" in paused.value.hint


async def test_a_step_may_have_any_number_of_writes():
    there = CentralNamespace()
    for number in range(60):
        there.put(MODEL, TEAM, f"m-{number}", {"metadata": {"finalizers": ["a"]}})

    def strip(facts, record):
        held = [each for each in facts.here.all(MODEL) if each["metadata"].get("finalizers")]
        return tuple(patch(MODEL, each, {"metadata": {"finalizers": None}}) for each in held)

    executor = there.executor(steps=lambda _: (dataclasses.replace(CENTRAL_STEPS[0], forward=strip),))
    await executor.apply(await executor.begin(SOURCE, PLACES))
    assert not any(each["metadata"].get("finalizers") for each in there.objects.values())


async def test_where_a_look_takes_long_more_writes_share_it():
    there, looks = CentralNamespace(), []
    for number in range(300):
        there.put(MODEL, TEAM, f"m-{number}", {"metadata": {"finalizers": ["a"]}})

    async def look(places):
        looks.append(places)
        await asyncio.sleep(0.1)
        return await there.look(places)

    def strip(facts, record):
        held = [each for each in facts.here.all(MODEL) if each["metadata"].get("finalizers")]
        return tuple(patch(MODEL, each, {"metadata": {"finalizers": None}}) for each in held)

    step = dataclasses.replace(CENTRAL_STEPS[0], forward=strip, arrived=nothing)
    executor = there.executor(look=look, write=there.make_soon, steps=lambda _: (step,))
    await executor.apply(await executor.begin(SOURCE, PLACES))
    assert not any(each["metadata"].get("finalizers") for each in there.objects.values())
    assert len(looks) < 300 / 20


async def test_a_wait_that_does_not_end_says_for_what_it_waited():
    there = CentralNamespace()
    there.obedient = False
    impatient = [dataclasses.replace(step, patience=0.01) for step in CENTRAL_STEPS]
    executor = there.executor(steps=lambda _: tuple(impatient))
    record = await executor.begin(SOURCE, PLACES)
    with pytest.raises(WaitEnded, match=r"step scheduler waited 0.01 s until .* leads.*: scheduler: said"):
        await executor.apply(record)


class ApiAway(Quiet):
    """An API that fails for the first looks of a wait; then it is back, and the operator too."""

    def __init__(self, there, failure):
        self._there, self._failure, self.waited = there, failure, []
        there.obedient = False

    def waits(self, texts):
        self.waited += texts

    async def look(self, places):
        if 0 < len(self.waited) < 3:
            raise self._failure
        self._there.obedient = bool(self.waited)
        self._there.obey()
        return await self._there.look(places)


AWAY = {
    "away": Unreachable("https://api: refused"),
    "overloaded": ApiError("too many requests, please try again later", status=429),
    "without a leader of its store": ApiError("etcdserver: leader changed", status=500),
}


@pytest.mark.parametrize("failure", AWAY.values(), ids=AWAY.keys())
async def test_a_wait_outlasts_an_api_that_is_away(failure):
    there = CentralNamespace()
    away = ApiAway(there, failure)
    executor = there.executor(look=away.look, tell=away)
    await executor.apply(await executor.begin(SOURCE, PLACES))
    assert f"Kubernetes API: {failure}" in away.waited


async def test_a_wait_ends_where_a_right_has_gone_and_names_step_right_and_ways():
    there = CentralNamespace()
    away = ApiAway(there, Forbidden("pods is forbidden"))
    executor = there.executor(look=away.look, tell=away)
    with pytest.raises(BrokenOff, match="step scheduler: pods is forbidden") as ended:
        await executor.apply(await executor.begin(SOURCE, PLACES))
    assert ended.value.hint == (
        "ask for the right; then `bailie migrate apply team` goes on, "
        "or `bailie migrate rollback team` goes back"
    )


async def test_only_what_was_ready_before_holds_the_move_up():
    there = CentralNamespace()
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    there.put(EXPERIMENT, TEAM, "ab", {"status": ready})
    record = await applied(there)
    assert record.unready == {"Model/broken"}
    said = [{"type": "Ready", "status": "False", "reason": "NoServer", "message": "no server has room"}]
    for kind, name in ((MODEL, "iris"), (EXPERIMENT, "ab")):
        there.put(kind, TEAM, name, {**there.get(kind, TEAM, name), "status": {"conditions": said}})
    assert missing_now(await there.look(PLACES), record) == (
        "model iris: no server has room",
        "experiment ab: no server has room",
    )


async def test_after_finish_has_begun_there_is_no_way_back():
    there = CentralNamespace()
    record = await applied(there)
    begun = dataclasses.replace(record, doing=ABOUT_TO_FINISH)
    with pytest.raises(PastReturn):
        await there.executor().rollback(begun)
    with pytest.raises(PastReturn):
        await there.executor().apply(begun)


async def test_the_record_tells_each_write_with_the_value_before():
    there = CentralNamespace()
    record = await applied(there)
    (first, second) = record.log
    assert (first.step, first.by) == ("scheduler", "mary@desk")
    assert first.before == '{"spec":{"schedulerNamespace":"mesh"}}'
    assert second.before == '{"spec":{"servesNamespaces":["team"]}}'


def recorded(**fields):
    """The data of a record, each part of it right unless said otherwise."""
    right = {"namespace": TEAM, "source": SOURCE, "home": "h", "central": CENTRAL, "begun": "", "by": ""}
    return {"record.json": json.dumps({**right, **fields})}


DAMAGED = {
    "no key": {},
    "no JSON": {"record.json": "{"},
    "another form": {"record.json": "[]"},
    "another namespace's": recorded(namespace="b"),
    "a path for a name": recorded(central="../c"),
    "no name": recorded(home=""),
    "an unknown source": recorded(source="x"),
    "a number for a text": recorded(by=1),
    "very deep": {"record.json": "[" * 100_000},
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("until", ["rights", "scheduler"])
async def test_a_damaged_record_is_told_and_made_anew_from_what_is_there(data, until):
    there = CentralNamespace()
    await applied(there, until)
    there.put(CONFIG_MAP, TEAM, NAME, {"data": data})
    executor = there.executor()
    with pytest.raises(DamagedRecord, match="ConfigMap bailie-migration in namespace team is no record"):
        await executor.recorded()
    await executor.apply(await executor.begin(SOURCE, PLACES))
    await rolled_back(there)
    assert there.state() == CentralNamespace().state()


async def test_nothing_begins_where_no_operator_would_act_on_it():
    there = CentralNamespace()
    del there.objects[LEASE.kind, TEAM, "bailie-operator-claim"]
    with pytest.raises(Blocked, match="no operator of Bailie's has claimed namespace team"):
        await there.executor().begin(SOURCE, PLACES)
    assert there.writes == []


_ROUTES = "routes: not every Envoy has them yet"
_AGENTS = "server mlserver: 0 of 1 agents are connected to the leader"
LEADERS = {
    "a term that has just begun": (
        {"published": 0, "acknowledged": 0},
        "routes: not every Envoy has them yet",
    ),
    "an Envoy that is behind": ({"published": 4, "acknowledged": 3}, _ROUTES),
    "an agent that is missing": (
        {"agents": {}},
        "server mlserver: 0 of 1 agents are connected to the leader",
    ),
    "all well": ({}, None),
}


@pytest.mark.parametrize(("notes", "text"), LEADERS.values(), ids=LEADERS.keys())
async def test_a_leader_counts_when_agents_and_envoys_are_with_it(notes, text):
    there = CentralNamespace()
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    marks = {"labels": {"seldon-server-name": "mlserver"}}
    there.put(SERVER, TEAM, "mlserver", {"status": ready})
    there.put(POD, TEAM, "mlserver-0", {"metadata": marks, "status": ready})
    there.notes |= {"agents": {"mlserver": 1}}
    record = await applied(there)
    there.notes |= notes
    there.obey()
    assert missing_now(await there.look(PLACES), record) == ((text,) if text else ())
