"""The message broker as the rest of the gateway knows it: a port, and the choice of what is behind it.

Implemented by `pipeline_journal`, by `awaited_broker`, and here for settings that cannot be used. The client
library is an extra, and is imported only where a broker is configured.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bailie.kafka.settings import KafkaSettingsError, read_kafka_settings
from bailie.lifecycle.journal import JournalNote

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from bailie.pipelinegateway.dialect import Dialect
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.http_values import HttpRequest
    from bailie.pipelinegateway.journalled_request import JournalledRequest
    from bailie.pipelinegateway.model_names import ModelNames
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.settings import PipelineGatewaySettings

_NO_LIBRARY = "the package confluent-kafka is not installed here: pip install 'bailie[kafka]'"


class BrokerPort(Protocol):
    """The broker, for `service`, `plan_versions` and `run`. Only `close` waits."""

    def begin(self, served: ServedPlan, request: HttpRequest, dialect: Dialect) -> JournalledRequest | None:
        """Returns the sink for the records of a request that is about to run; None where none are kept."""
        ...

    def planned(self, served: ServedPlan) -> None:
        """Takes a pipeline in, whose topics and those of its steps are to be made."""
        ...

    def gone(self, pipeline: str, *, clean: bool) -> None:
        """Looks after the topics of a pipeline no more, and with `clean` deletes its own."""
        ...

    def note(self, pipeline: str) -> JournalNote:
        """Returns whether requests to a pipeline are journalled."""
        ...

    def hindrance(self, pipeline: str) -> str:
        """Returns why no record of a request can be written now; empty if records can."""
        ...

    def consuming(self, engine: PipelineEngine, models: ModelNames) -> AbstractAsyncContextManager[None]:
        """Runs the records of the topics while entered, for which no caller waits."""
        ...

    async def close(self, seconds: float) -> None:
        """Writes what is there, for so many seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class UnusableBroker:
    """A broker whose settings cannot be used: pipelines answer, and their notes say why no record is kept."""

    words: str

    def begin(self, served: ServedPlan, request: HttpRequest, dialect: Dialect) -> None:
        """Returns no sink."""

    def planned(self, served: ServedPlan) -> None:
        """Does nothing."""

    def gone(self, pipeline: str, *, clean: bool) -> None:
        """Does nothing."""

    def note(self, pipeline: str) -> JournalNote:  # noqa: ARG002 - the same for all
        """Returns the reason."""
        return JournalNote(kept=False, words=f"requests are not journalled: {self.words}")

    def hindrance(self, pipeline: str) -> str:  # noqa: ARG002 - the same for all
        """Returns the reason."""
        return self.words

    def consuming(
        self,
        engine: PipelineEngine,  # noqa: ARG002
        models: ModelNames,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[None]:
        """Runs no records."""
        return nullcontext()

    async def close(self, seconds: float) -> None:
        """Does nothing."""


def broker_of(settings: PipelineGatewaySettings) -> BrokerPort | None:
    """Returns the broker that is configured; None without one."""
    try:
        kafka = read_kafka_settings(settings.kafka)
        if kafka is None:
            return None
        # The library is an extra, and costs memory: not without a broker.
        from bailie.kafka.client import KafkaTrouble  # noqa: PLC0415
        from bailie.pipelinegateway.pipeline_journal import PipelineJournal  # noqa: PLC0415
        from bailie.pipelinegateway.record_outputs import RecordPlace  # noqa: PLC0415
    except KafkaSettingsError as error:
        return UnusableBroker(str(error))
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        return UnusableBroker(_NO_LIBRARY)
    place = RecordPlace(kafka.topic_prefix, settings.namespace, settings.pod)
    try:
        return PipelineJournal(kafka, place, settings.most_body_bytes)
    except KafkaTrouble as error:
        return UnusableBroker(f"kafkaConfig: {error}")
