"""The scheduler tells the operator, in the runtime's status, whether the namespace has a Pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.waiting import until

from bailie.api.kinds import SELDON_RUNTIME
from bailie.control.pass_result import PassResult
from bailie.scheduler.status.runtimes import PipelineUseWriter

STEPS = {"steps": [{"name": "iris"}]}
WITH = PassResult(runtime="seldon", further={"Pipeline": {"p": object()}})  # type: ignore[dict-item]
WITHOUT = replace(WITH, further={"Pipeline": {}})


class Statuses:
    """Takes patches as the API does."""

    def __init__(self):
        self.written = []

    async def patch(self, kind, name, namespace, body, *, subresource):
        assert (kind, subresource) == (SELDON_RUNTIME, "status")
        self.written.append((name, body["status"]["hasPipelines"]))


def runtime(*, told=None, name="seldon"):
    return {"metadata": {"name": name}, "status": {} if told is None else {"hasPipelines": told}}


@pytest.fixture
def statuses():
    return Statuses()


async def test_a_pipeline_is_told_at_once_and_its_end_later(statuses):
    writer = PipelineUseWriter(statuses, "a", unused_seconds=60)
    assert writer.take(WITH) == ("seldon",)
    assert writer.take(WITH) == (), "nothing differs"
    assert await writer.write(runtime()) is None
    assert statuses.written == [("seldon", True)]
    assert await writer.write(runtime(told=True)) is None
    assert writer.take(WITHOUT) == ("seldon",)
    again = await writer.write(runtime(told=True))
    assert 55 < again.requeue_after <= 60
    assert writer.take(WITH) == ("seldon",), "made again before that"
    assert await writer.write(runtime(told=True)) is None
    assert statuses.written == [("seldon", True)]


async def test_without_a_pipeline_for_long_enough_the_gateways_may_go(statuses):
    writer = PipelineUseWriter(statuses, "a", unused_seconds=0)
    writer.take(WITHOUT)
    assert await writer.write(runtime()) is None
    assert statuses.written == [], "a namespace that never had one gets no write"
    assert await writer.write(runtime(told=True)) is None
    assert statuses.written == [("seldon", False)]


async def test_only_the_runtime_that_counts_is_told(statuses):
    writer = PipelineUseWriter(statuses, "a", unused_seconds=0)
    assert writer.take(replace(WITH, runtime="")) == ()
    assert await writer.write(runtime()) is None
    writer.take(WITH)
    assert await writer.write(runtime(name="second")) is None
    assert statuses.written == []


async def test_a_pipeline_in_the_api_shows_in_the_runtime(namespace):
    namespace.create("SeldonRuntime", "seldonruntimes", "seldon", {"seldonConfig": "default"})
    async with namespace.scheduler():
        namespace.create("Pipeline", "pipelines", "p", STEPS)
        await until(lambda: namespace.status("seldon", "seldonruntimes").get("hasPipelines") is True)
        namespace.model("p.pipeline")
        await namespace.says("cannot name a Model", "Ready", "p.pipeline")
        assert "NoPipelineGateway" in str(namespace.status("p", "pipelines")), "the Pipeline's own words"
        namespace.delete("p.pipeline")
