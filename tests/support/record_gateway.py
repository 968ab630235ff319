"""A pipeline gateway as a process to be killed: records from a broker, models behind a port, no scheduler.

`python -m tests.support.record_gateway FOLDER BROKER MODELS_PORT NAMESPACE`: the folder has `plans.json`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from confluent_kafka import Consumer, Producer

from bailie.kafka.consuming import (
    CONSUMER_DEFAULTS,
    RecordClients,
    consumer_properties,
    producer_properties,
)
from bailie.pipelinegateway.asynchronous import records_run
from bailie.pipelinegateway.record_outputs import RecordPlace
from bailie.pipelinegateway.run import gateway
from bailie.pipelinegateway.settings import PipelineGatewaySettings

POD = "seldon-pipelinegateway-0"


def clients_of(broker, namespace, pod=POD):
    common = {"bootstrap.servers": broker, "log_level": 2, "reconnect.backoff.max.ms": 200}
    group = f"{namespace}-seldon-pipelinegateway"
    return RecordClients(
        lambda: Consumer({**common, **CONSUMER_DEFAULTS, **consumer_properties(group, pod)}),
        lambda: Producer({**common, **producer_properties(group, pod)}),
    )


async def serve(folder, broker, models_port, namespace):
    settings = PipelineGatewaySettings(
        namespace=namespace,
        pod=POD,
        folder=Path(folder),
        envoy_host="127.0.0.1",
        envoy_port=int(models_port),
        http_port=0,
        health_port=0,
        drain_seconds=2.0,
    )
    place = RecordPlace("seldon", namespace, POD)
    async with (
        gateway(settings) as running,
        records_run(running.engine, place, clients_of(broker, namespace)),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
