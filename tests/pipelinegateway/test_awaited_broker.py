"""Settings of the broker that cannot be used when a gateway starts: they are used as soon as they can be."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from structlog.testing import capture_logs
from tests.pipelinegateway.client import ask, running, running_gateway, settings_of
from tests.pipelinegateway.models import Models, serving
from tests.support.broker import running_broker
from tests.support.waiting import until

from bailie.api.kafka_config import content_digest
from bailie.kafka.settings import KafkaVariables
from bailie.pipelinegateway.awaited_broker import AwaitedBroker, settled_broker
from bailie.pipelinegateway.broker_port import UnusableBroker, broker_of
from bailie.pipelinegateway.model_names import ModelNames
from bailie.pipelinegateway.plans import Plans, PlanSource

SPEC = {"steps": [{"name": "a"}], "output": {"steps": ["a"]}}
OWNERS = ("pipeline.p", "model.a")
TOPICS = [f"seldon.ns.{owner}.{side}" for owner in OWNERS for side in ("inputs", "outputs")]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


async def test_a_file_that_the_machine_brings_a_moment_later_is_awaited(tmp_path):
    text = b'{"bootstrap.servers": "127.0.0.1:1", "producer": {"no.such.property": 1}}'
    given = KafkaVariables(file=tmp_path / "kafka.json", digest=content_digest(text))
    given.file.write_bytes(b"{}")
    async with asyncio.TaskGroup() as group:
        found = group.create_task(settled_broker(settings_of(tmp_path, Models(), kafka=given)))
        await asyncio.sleep(0)
        given.file.write_bytes(text)
    assert "no.such.property" in found.result().note("p").words


async def test_a_broker_whose_settings_are_mended_is_used_without_a_restart(tmp_path, broker):
    """Requests are answered before; afterwards they are journalled, and records of the topics run."""
    given = KafkaVariables(file=tmp_path / "kafka.json")
    given.file.write_text("{")
    async with serving() as models, running_gateway(tmp_path, models, {"p_1": SPEC}, kafka=given) as found:
        found.models.take(("a",), (), whole=True)
        assert "is no JSON" in found.broker.note("p").words
        assert "is no JSON" in found.broker.hindrance("p")
        assert (await ask(found.port)).status == 200
        given.file.write_text(json.dumps({"bootstrap.servers": broker.address}))
        await until(lambda: found.broker.note("p").kept)
        assert (await ask(found.port)).status == 200
        assert len(await asyncio.to_thread(partial(broker.read, *TOPICS, count=4))) == 4
        await asyncio.to_thread(broker.write, TOPICS[2], (b"order-1", b'{"inputs": []}'))
        answers = await asyncio.to_thread(partial(broker.read, TOPICS[3], count=2))
    assert [each.key() for each in answers if each.key() == b"order-1"] == [b"order-1"]


async def test_a_file_that_comes_very_late_is_used(tmp_path, broker):
    text = json.dumps({"bootstrap.servers": broker.address}).encode()
    given = KafkaVariables(file=tmp_path / "kafka.json", digest=content_digest(text))
    attempt = partial(broker_of, settings_of(tmp_path, Models(), kafka=given))
    found = AwaitedBroker(attempt, attempt())
    async with serving() as models, running(tmp_path, models, {"p_1": SPEC}) as (engine, _):
        found.planned(engine.plans.newest("p"))
        async with found.consuming(engine, ModelNames()):
            assert not found.note("p").kept
            given.file.write_bytes(text)
            await until(lambda: found.note("p").kept)
        await found.close(5.0)


class NotingBroker:
    """Satisfies `broker_port.BrokerPort`, as far as plans go."""

    def __init__(self):
        self.pipelines = set()

    def planned(self, served):
        self.pipelines.add(served.name)


def test_the_pipelines_of_now_are_handed_on():
    plans, usable = Plans("ns"), NotingBroker()
    found = AwaitedBroker(lambda: usable, UnusableBroker("away"))
    for name in ("p", "q"):
        plans.put(PlanSource(name, 1, SPEC))
        found.planned(plans.newest(name))
    found.gone("q", clean=True)
    found._take(found.attempt())
    assert usable.pipelines == {"p"}


def test_the_reason_is_told_when_it_changes(tmp_path):
    """Each once in the log, however often the settings are tried; also where they name no broker at last."""
    tries = iter([UnusableBroker("one"), UnusableBroker("two"), None, None])
    found = AwaitedBroker(lambda: next(tries), UnusableBroker("one"))
    with capture_logs() as logs:
        for _ in range(4):
            found._take(found.attempt())
    assert [each["cause"] for each in logs] == ["two", "the configuration names no broker any more"]
    assert "names no broker" in found.note("p").words
