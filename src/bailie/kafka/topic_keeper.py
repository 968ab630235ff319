"""The topics of a namespace's pipelines: made when a pipeline comes, deleted after it where its owner asks.

Told by `pipelinegateway` what is wanted; works in a thread of its own, which also looks every second whether
the broker answers. Every gateway of a namespace does the same: each step may find itself done.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its own way to export them
    ConfigResource,
    NewTopic,
    ResourceType,
)

from bailie.kafka.client import admin_client, code_of, words_of
from bailie.kafka.topic_states import BrokerView, TopicState
from bailie.lifecycle.words import GATEWAY_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka.admin import AdminClient

    from bailie.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
"""How long a broker may take to say that it is there."""
_CALL_SECONDS = 10.0
_AGAIN_SECONDS = 10.0
"""After so long a topic that could not be made is tried again."""
_AT_ONCE = 100
"""Topics in one request."""
_LIMIT = "max.message.bytes"
_FIGURES = re.compile(r" \(after [^)]*\)$")
"""The library's figures behind an error, which differ each time."""


class TopicKeeper:
    """Keeps `view` up to date until `close`. Methods are for the event loop and wait for nothing."""

    def __init__(self, settings: KafkaSettings, name: str, *, always: str, lost: Callable[[], str]) -> None:
        """Begins with the topic `always`. `lost` says which records were dropped just now.

        Raises KafkaTrouble for a property that the library does not know.
        """
        self._said = ""
        self._admin: AdminClient = admin_client(settings, name, self._note)
        self._settings, self._always, self._lost = settings, always, lost
        self._wanted: dict[str, None] = {always: None}
        self._doomed: dict[str, None] = {}
        self._tried: dict[str, float] = {}
        self._lock, self._changed = threading.Lock(), threading.Event()
        self._ended = False
        self.view = BrokerView(
            brokers=settings.brokers, partitions=settings.partitions, topics={}, problem="not asked yet"
        )
        self._thread = threading.Thread(target=self._run, name="kafka-topics", daemon=True)
        self._thread.start()

    def want(self, topics: Iterable[str]) -> None:
        """Takes topics in that are to be made, if they are not there."""
        with self._lock:
            for each in topics:
                self._wanted[each] = None
                self._doomed.pop(each, None)
        self._changed.set()

    def forget(self, topics: Iterable[str], *, delete: Iterable[str]) -> None:
        """Looks after these topics no more, and deletes some of them with all their records."""
        with self._lock:
            for each in topics:
                self._wanted.pop(each, None)
                self._tried.pop(each, None)
            self._doomed.update(dict.fromkeys(delete))
        self._changed.set()

    def close(self, seconds: float) -> None:
        """Ends the thread, once what was asked for is done, or after so many seconds."""
        self._ended = True
        self._changed.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            ending = self._ended
            self._changed.clear()
            problem = self._round()
            if bool(problem) != bool(self.view.problem):
                log.info("broker has changed", answers=not problem, cause=problem)
            with self._lock:
                topics = {name: state for name, state in self.view.topics.items() if name in self._wanted}
            self.view = replace(self.view, topics=topics, problem=problem, lost=self._lost())
            if ending:
                return
            self._changed.wait(LOOK_SECONDS)

    def _round(self) -> str:
        """Looks whether the broker answers and does what is asked for; returns why no broker answers."""
        try:
            self._admin.list_topics(topic=self._always, timeout=_ANSWER_SECONDS)
            if self.view.problem:  # a broker that is back may have lost its topics
                self.view = replace(self.view, topics={})
                self._tried.clear()
            self._work()
        except KafkaException as error:
            self._admin.poll(0)  # says more of the cause, by way of `_note`
            return self._said or words_of(error)
        except Exception:
            # The edge of the thread: without this the view would stay as it is until the process ends.
            log.exception("topics failed")
            return GATEWAY_FAILED
        self._said = ""
        return ""

    def _note(self, error: KafkaError) -> None:
        """Takes an error of a connection. The first one counts until a broker answers, so that words stay."""
        self._said = self._said or _FIGURES.sub("", words_of(error))

    def _work(self) -> None:
        """Makes the topics that are missing and deletes those that are to go."""
        now = time.monotonic()
        with self._lock:
            doomed, self._doomed = list(self._doomed), {}
            missing = [each for each in self._wanted if self._is_due(each, now)]
        for start in range(0, len(doomed), _AT_ONCE):
            self._delete(doomed[start : start + _AT_ONCE])
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            states = self._made(some)
            self._tried.update(dict.fromkeys(some, now))
            self.view = replace(self.view, topics={**self.view.topics, **states})

    def _is_due(self, topic: str, now: float) -> bool:
        state = self.view.topics.get(topic)
        if state is not None and not state.problem:
            return False
        return now - self._tried.get(topic, -_AGAIN_SECONDS) >= _AGAIN_SECONDS

    def _made(self, topics: list[str]) -> dict[str, TopicState]:
        """Makes topics and returns how they are; a topic that is there already is as good."""
        refused = self._create(topics)
        partitions = self._partitions(topics)
        limits = self._limits([each for each in topics if partitions.get(each)])
        found = {}
        for each in topics:
            if partitions.get(each):
                found[each] = TopicState(partitions[each], limits.get(each, 0))
            else:
                words = refused.get(each) or "it is not there yet"
                found[each] = TopicState(problem=f"the topic cannot be made ({words})")
        return found

    def _create(self, topics: list[str]) -> dict[str, str]:
        number, copies = self._settings.partitions, self._settings.replication_factor
        wanted = [NewTopic(each, num_partitions=number, replication_factor=copies) for each in topics]
        refused = {}
        for topic, future in self._admin.create_topics(wanted, request_timeout=_CALL_SECONDS).items():
            try:
                future.result(timeout=2 * _CALL_SECONDS)
                log.info("topic made", topic=topic, partitions=number)
            except (KafkaException, TimeoutError) as error:
                if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    refused[topic] = words_of(error)
        return refused

    def _partitions(self, topics: list[str]) -> dict[str, int]:
        found = {}
        asked = self._admin.describe_topics(TopicCollection(topics), request_timeout=_CALL_SECONDS)
        for topic, future in asked.items():
            try:
                found[topic] = len(future.result(timeout=2 * _CALL_SECONDS).partitions)
            except (KafkaException, TimeoutError) as error:
                log.debug("topic not described", topic=topic, cause=words_of(error))
        return found

    def _limits(self, topics: list[str]) -> dict[str, int]:
        """Returns the broker's bound for a batch of each topic; none where the broker does not tell it."""
        if not topics:
            return {}
        found = {}
        asked = [ConfigResource(ResourceType.TOPIC, each) for each in topics]
        for resource, future in self._admin.describe_configs(asked, request_timeout=_CALL_SECONDS).items():
            try:
                entry = future.result(timeout=2 * _CALL_SECONDS).get(_LIMIT)
            except (KafkaException, TimeoutError) as error:
                log.debug("limits not told", topic=resource.name, cause=words_of(error))
                continue
            if entry is not None and str(entry.value).isdecimal():
                found[resource.name] = int(entry.value)
        return found

    def _delete(self, topics: list[str]) -> None:
        for topic, future in self._admin.delete_topics(topics, request_timeout=_CALL_SECONDS).items():
            try:
                future.result(timeout=2 * _CALL_SECONDS)
                log.info("topic deleted", topic=topic)
            except (KafkaException, TimeoutError) as error:
                if code_of(error) != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    log.warning("topic not deleted", topic=topic, cause=words_of(error))
