"""The records that follow from one request: data of its steps, the answer, failures. Pure.

Made by `record_runs` for each record that runs, filled by the engine. All of them
have the key of the request's record, and its partition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.kafka import headers, topics
from bailie.kafka.keys import request_id_of
from bailie.kafka.records import OutgoingRecord
from bailie.pipelinegateway import passed, protobuf_bodies
from bailie.pipelinegateway.json_bodies import MalformedBody
from bailie.wellknown.headers import PIPELINE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.dataflow import Parcel, Topic
    from bailie.kafka.headers import RecordHeaders
    from bailie.kafka.records import IncomingRecord
    from bailie.pipelinegateway.http_values import Headers
    from bailie.pipelinegateway.plans import ServedPlan


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """The place of a namespace's records: prefix and namespace of the topics, and the gateway's pod."""

    prefix: str
    namespace: str
    pod: str

    def topic_of(self, topic: Topic) -> str:
        """Returns the topic for data of a pipeline's own or of one of its steps."""
        of = topics.pipeline_topic if topic.owner == topic.pipeline else topics.model_topic
        return of(self.prefix, self.namespace, topic.owner, topic.side)

    def answers_of(self, pipeline: str) -> str:
        """Returns the topic of a pipeline's answers."""
        return topics.pipeline_topic(self.prefix, self.namespace, pipeline, "outputs")

    def answers_of_model(self, model: str) -> str:
        """Returns the topic of a model's answers."""
        return topics.model_topic(self.prefix, self.namespace, model, "outputs")

    @property
    def errors(self) -> str:
        """The topic of failures."""
        return topics.errors_topic(self.prefix, self.namespace)


def asked_with(record: IncomingRecord, owner: str) -> Headers:
    """Returns the headers of a record as those of a request over HTTP.

    `owner`: the pipeline or model. A record without an id has one by its place, which is the same when it
    runs again.
    """
    given = [
        (name.encode(), value) for name, value in record.headers if name not in {headers.RAN, headers.CUT}
    ]
    if headers.first(record.headers, headers.REQUEST_ID):
        return tuple(given)
    own = request_id_of(record.key, owner) or f"{owner}.{record.partition}.{record.offset}"
    return ((headers.REQUEST_ID.encode(), own.encode()), *given)


def kept_headers(asked: Headers) -> RecordHeaders:
    """Returns the headers of a request that all of its records have."""
    return tuple((name.decode("latin-1"), value) for name, value in asked if passed.goes_on(name))


def told_with(asked: Headers, pipeline: str, version: int | None = None) -> RecordHeaders:
    """Returns the headers of all records of a request to a pipeline, by those of the request."""
    number = () if version is None else ((PIPELINE_VERSION, b"%d" % version),)
    return ((headers.PIPELINE, pipeline.encode()), *number, *kept_headers(asked))


def failure_records(
    source: IncomingRecord, failed: str, words: str, *, told: RecordHeaders, topics: Iterable[str]
) -> list[OutgoingRecord]:
    """Returns the records of a failure, for each of the topics, with the headers `told`.

    `failed`: the model that failed, or the pipeline. Readers of Seldon Core's show `<failed> : <words>`.
    """
    text = words.removeprefix(f"{failed} : ").encode(errors="replace")
    given = (*told, (headers.FAILED, failed.encode()))
    return [
        OutgoingRecord(topic, source.partition, source.key, text, given, essential=True) for topic in topics
    ]


@dataclass(slots=True)
class RequestRecords:
    """The records of one request to a pipeline. Satisfies `root_request.RecordSink`."""

    place: RecordPlace
    source: IncomingRecord
    asked: Headers
    ended: Callable[[], None]
    records: list[OutgoingRecord] = field(default_factory=list)
    routes: tuple[bytes, ...] = ()
    """The routes of the models that the answer has passed."""

    def data(self, served: ServedPlan, topic: Topic, parcel: Parcel) -> None:
        """Takes data of a topic; the request itself is there already."""
        name, answer = self.place.topic_of(topic), topic == served.plan.answer
        if name == self.source.topic:
            return
        told = told_with(self.asked, served.name, served.number)
        try:
            if topic.side == "inputs":
                told = (*told, (headers.RAN, self.place.pod.encode()))
                value = protobuf_bodies.encode_request(parcel)
            else:
                value = protobuf_bodies.encode_answer(parcel)
        except MalformedBody as error:
            if answer:
                self.failure(served, "", str(error), ends=True)
            return
        if answer:
            told = (*told, *((headers.ROUTE, route) for route in self.routes))
        source = self.source
        self.records.append(OutgoingRecord(name, source.partition, source.key, value, told, essential=answer))

    def failure(self, served: ServedPlan, step: str, words: str, *, ends: bool) -> None:
        """Takes a failure. The failure that ends a request is also on the topic of answers."""
        told = told_with(self.asked, served.name, served.number)
        topics = (self.place.errors, self.place.topic_of(served.plan.answer))[: 1 + ends]
        failed = step or served.name
        self.records += failure_records(self.source, failed, words, told=told, topics=topics)

    def over(self) -> None:
        """Tells that all records are there."""
        self.ended()
