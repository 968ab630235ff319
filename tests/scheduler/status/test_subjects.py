"""The status of an Experiment that is a delivery, as written: the record, the events, others' fields."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.waiting import until_true

from bailie.api.kinds import EVENT, EXPERIMENT
from bailie.control.pass_result import PassResult
from bailie.control.subjects import Subject
from bailie.kube.events import MOST_ALIKE, EventType, Recorder
from bailie.lifecycle.delivery import RECORD, DeliveryFacts
from bailie.lifecycle.experiments import ExperimentFacts
from bailie.scheduler.status.subjects import SubjectWriter

STEP = DeliveryFacts(status="Unknown", reason="Step1", text="20 % to rose", record="first")
BACK = DeliveryFacts(status="False", reason="TooManyErrors", text="9 of 9 failed", record="last")


class Events:
    """Keeps the events instead of writing them."""

    def __init__(self):
        self.told = []

    def event(self, regarding, event_type, reason, message):
        self.told.append((event_type, reason))


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def write(namespace, events):
    """Writes the status that the facts of the experiment `flower` say; returns the status in the API."""
    candidates = [{"name": "iris", "weight": 1}, {"name": "rose", "weight": 1}]
    namespace.create("Experiment", "experiments", "flower", {"default": "iris", "candidates": candidates})
    writer = SubjectWriter(namespace.client, namespace.name, events, EXPERIMENT)

    uid = namespace.uid("flower", "experiments")

    async def once(delivery):
        facts = {"flower": ExperimentFacts(uid=uid, generation=1, delivery=delivery)}
        subject = frozenset({Subject("Experiment", "flower")})
        writer.take(PassResult(further={"Experiment": facts}, looked_at=subject))
        await writer.write(await namespace.client.get(EXPERIMENT, "flower", namespace.name))
        return await namespace.client.get(EXPERIMENT, "flower", namespace.name)

    return once


async def test_an_experiment_that_is_no_delivery_has_no_annotations(write):
    assert "annotations" not in (await write(None))["status"]


async def test_a_step_is_an_event_and_its_figures_are_none(write, events):
    assert (await write(STEP))["status"]["annotations"] == {RECORD: "first"}
    later = DeliveryFacts(status="Unknown", reason="Step1", text="20 % to rose, 7 requests", record="more")
    assert (await write(later))["status"]["annotations"] == {RECORD: "more"}
    await write(BACK)
    assert events.told == [(EventType.NORMAL, "Step1"), (EventType.WARNING, "TooManyErrors")]


async def test_each_step_is_one_event_whatever_its_figures(write, events):
    for step in (1, 2, 3):
        for requests in range(3):
            text = f"step {step} of 3: {requests} of 50 requests"
            await write(DeliveryFacts(status="Unknown", reason=f"Step{step}", text=text, record=text))
    await write(DeliveryFacts(status="True", reason="Promoted", text="it kept its limits", record="end"))
    assert [reason for _, reason in events.told] == ["Step1", "Step2", "Step3", "Promoted"]


async def test_a_candidate_that_fails_with_each_new_version_fills_nothing(write, events, namespace):
    cycles, recorder = 12, Recorder(namespace.client, "seldon-scheduler", "seldon-scheduler-0")
    events.event = recorder.event
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(recorder.run())
        for number in range(cycles):
            await write(STEP)
            failed = f"iris gets all callers: {number} of {2 * number} requests failed"
            await write(DeliveryFacts(status="False", reason="TooManyErrors", text=failed, record=failed))

        async def all_told():
            items = (await namespace.client.list(EVENT, namespace.name)).items
            found = [each for each in items if each["reason"] in {"Step1", "TooManyErrors"}]
            return found if sum(each["count"] for each in found) == 2 * cycles else None

        found = await until_true(all_told)
        writing.cancel()
    assert len(found) == 1 + MOST_ALIKE


async def test_annotations_of_others_stay_and_cause_no_second_write(write, namespace):
    await write(STEP)
    body = {"status": {"annotations": {"others": "kept"}}}
    await namespace.client.patch(EXPERIMENT, "flower", namespace.name, body, subresource="status")
    before = await write(STEP)
    assert before["status"]["annotations"] == {RECORD: "first", "others": "kept"}
    assert (await write(STEP))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    after = await write(None)
    assert after["status"]["annotations"] == {"others": "kept"}
    assert (await write(None))["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
