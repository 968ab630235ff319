"""The records of a pipeline's topics in Kafka, as data that is printed.

Called by `pipeline_inspection`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailie.cli.output import ExitCode, fail
from bailie.kafka import headers
from bailie.kafka.keys import request_id_of
from bailie.kafka.topics import errors_topic, model_topic, parsed_topic, pipeline_topic
from bailie.wellknown.headers import PIPELINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.dataflow.plan import DataSide
    from bailie.kafka.inspection import FoundRecord
    from bailie.kafka.settings import KafkaSettings

_SIDES: tuple[DataSide, ...] = ("inputs", "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """The broker whose topics are read: none where the gateways are asked. Times are seconds.

    `config` is a `kafka.json`; `address` wins over the one that it names.
    """

    address: str = ""
    config: Path | None = None
    seconds: float = 5.0

    @property
    def named(self) -> bool:
        """Whether a broker is named."""
        return bool(self.address or self.config)


def read_topics(
    broker: BrokerOptions,
    pipeline: tuple[str, str],
    steps: Iterable[str],
    *,
    most: int,
    wanted: Callable[[Mapping[str, Any]], bool],
) -> list[dict[str, Any]]:
    """Returns the last records of a pipeline (namespace, name) that are wanted, `most` of each topic.

    Ends the command where the broker does not answer.
    """
    try:
        from confluent_kafka import KafkaException

        from bailie.kafka import client
        from bailie.kafka.inspection import last_records
    except ModuleNotFoundError as error:
        fail(f"topics cannot be read: {error}", hint="pip install 'bailie[kafka]'")
    namespace, name = pipeline
    settings = _settings(broker)

    def data(record: FoundRecord) -> dict[str, Any]:
        return record_data(record, settings.topic_prefix, namespace, name)

    topics = topics_of(settings.topic_prefix, namespace, name, steps)
    try:
        consumer = client.reader(settings, "bailie-inspect")
        try:
            found = last_records(
                consumer,
                topics,
                most=most,
                wanted=lambda each: is_of(each, name) and wanted(data(each)),
                seconds=broker.seconds,
            )
        finally:
            consumer.close()
    except (client.KafkaTrouble, KafkaException, TimeoutError) as error:
        words = client.words_of(error) or "no answer"
        hint = "leave --kafka-broker and --kafka-config-path out to ask the gateways"
        fail(f"the broker {settings.brokers} does not answer within {broker.seconds:g} s: {words}", hint=hint)
    return [data(each) for each in found]


def _settings(broker: BrokerOptions) -> KafkaSettings:
    """Returns the settings of a client; those of security come from Seldon Core's variables."""
    from bailie.kafka.settings import (
        KafkaSettingsError,
        KafkaVariables,
        joined,
        parsed_config,
        security_properties,
    )
    from bailie.settings.reader import read

    own = {"bootstrap.servers": broker.address} if broker.address else {}
    try:
        given = json.loads(broker.config.read_bytes()) if broker.config else {}
        config = parsed_config(json.dumps(given | own).encode())
        security = security_properties(read(KafkaVariables, os.environ))  # noqa: TID251 - the person's own
    except (KafkaSettingsError, OSError, TypeError, ValueError, RecursionError) as error:
        fail(f"the settings of the broker cannot be used: {error}", code=ExitCode.USAGE)
    if config is None:
        fail(f'{broker.config} names no broker ("bootstrap.servers")', code=ExitCode.USAGE)
    return joined(config, security)


def topics_of(prefix: str, namespace: str, pipeline: str, steps: Iterable[str]) -> list[str]:
    """Returns the topics with the data of a pipeline: its own, those of its steps, and that of failures."""
    own = [pipeline_topic(prefix, namespace, pipeline, side) for side in _SIDES]
    of_steps = [model_topic(prefix, namespace, step, side) for step in steps for side in _SIDES]
    return [*own, *of_steps, errors_topic(prefix, namespace)]


def is_of(record: FoundRecord, pipeline: str) -> bool:
    """Says whether a record is of a pipeline: topics of models and of failures are shared."""
    own = record.topic.split(".")[-3:-1] == ["pipeline", pipeline]
    return _told(record).get(headers.PIPELINE, pipeline if own else "") == pipeline


def record_data(record: FoundRecord, prefix: str, namespace: str, pipeline: str) -> dict[str, Any]:
    """Returns a record as data, in the form that the gateways give those that they have kept."""
    told, topic = _told(record), parsed_topic(prefix, namespace, record.topic)
    owner, side = (topic.name, topic.side) if topic else (told.get(headers.FAILED, ""), "errors")
    found: dict[str, Any] = {
        "pipeline": pipeline,
        "version": told.get(PIPELINE_VERSION, ""),
        "id": told.get(headers.REQUEST_ID) or request_id_of(record.key, pipeline),
        "at": record.at,
        "owner": owner,
        "side": side,
        "key": (record.key or b"").decode(errors="backslashreplace"),
        "headers": told,
    }
    if headers.CUT in told and headers.FAILED not in told:
        return found | {"cut": told[headers.CUT]}
    return found | {"body": _body(record, side, told)}


def _told(record: FoundRecord) -> dict[str, str]:
    return {name: (value or b"").decode(errors="backslashreplace") for name, value in record.headers}


def _body(record: FoundRecord, side: str, told: Mapping[str, str]) -> dict[str, Any]:
    """Returns a value as JSON data, whatever form it has."""
    from google.protobuf.message import DecodeError

    from bailie._gen import inference_pb2
    from bailie.inference.codec import from_protobuf
    from bailie.pipelinegateway import protobuf_bodies
    from bailie.pipelinegateway.json_bodies import MalformedBody

    value = record.value or b""
    if side == "errors" or headers.FAILED in told:
        return {"error": value.decode(errors="replace"), "step": told.get(headers.FAILED, "")}
    decode = protobuf_bodies.decode_request if side == "inputs" else protobuf_bodies.decode_answer
    try:
        message = protobuf_bodies.encode_answer(decode(value))
        body: dict[str, Any] = from_protobuf(inference_pb2.ModelInferResponse.FromString(message))
    except (MalformedBody, DecodeError) as error:
        return _json(value) or {"error": f"the value is no message of the protocol: {error}"}
    if side == "inputs":
        body["inputs"] = body.pop("outputs")
    body.pop("model_name", None)
    return body


def _json(value: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
