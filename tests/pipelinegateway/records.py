"""Records for an executor without a broker: those of one partition, and what has followed from them."""

from __future__ import annotations

from contextlib import asynccontextmanager

from tests.pipelinegateway.client import message_of, running
from tests.pipelinegateway.models import from_wire, tensor
from tests.support.waiting import until

from bailie._gen import inference_pb2 as pb
from bailie.kafka.progress import RecordProgress
from bailie.kafka.records import IncomingRecord
from bailie.pipelinegateway.record_executor import RecordExecutor
from bailie.pipelinegateway.record_outputs import RecordPlace

PLACE = RecordPlace("seldon", "ns", "gateway-0")
PIPELINE, MODEL = "seldon.ns.pipeline.p.inputs", "seldon.ns.model.m.inputs"
ANSWERS, ERRORS = "seldon.ns.pipeline.p.outputs", "seldon.ns.errors.errors"


def request_of(*tensors):
    return message_of(tensors or [tensor("x", ["in"])]).SerializeToString()


class Partition:
    """One partition as the thread that reads it has it."""

    def __init__(self, executor):
        self.executor, self.progress, self.offset = executor, RecordProgress(), 0

    def put(self, value, *, topic=PIPELINE, key=b"p.id", headers=()):
        self.progress.assign([(topic, 0)])
        read = self.progress.take(IncomingRecord(topic, 0, self.offset, key, value, tuple(headers)))
        self.offset += 1
        self.executor.take([read])
        return read

    async def run(self, value, **named):
        """Returns the records that follow from one."""
        read = self.put(value, **named)
        await until(lambda: read.outputs is not None)
        return read.outputs


@asynccontextmanager
async def records(folder, models, specs, **changes):
    """Runs a gateway whose records come from a partition; yields the engine and the partition."""
    async with running(folder, models, specs, **changes) as (engine, _):
        yield engine, Partition(RecordExecutor(engine, PLACE))


def on(outputs, topic):
    return [each for each in outputs if each.topic == topic]


def answer_of(outputs, topic=ANSWERS):
    """Returns the tensors of the one answer."""
    (record,) = on(outputs, topic)
    return [from_wire(each) for each in pb.ModelInferResponse.FromString(record.value).outputs]


def failure_of(outputs):
    """Returns who failed, and the words."""
    (record,) = on(outputs, ERRORS)
    return dict(record.headers)["seldon-pipeline-errors"].decode(), record.value.decode()
