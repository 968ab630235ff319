"""The names of topics, as Seldon Core has them. Pure.

Called by `pipelinegateway`. `side` is `inputs` or `outputs`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from bailie.dataflow.plan import DataSide

DEFAULT_PREFIX = "seldon"
LONGEST = 249
"""Characters of a topic's name, by Kafka's own rule."""
_OWN = re.compile(r"(pipeline|model)\.(.+)\.(inputs|outputs)")


class RecordTopic(NamedTuple):
    """A topic of a namespace: the inputs or outputs of a pipeline or a model."""

    kind: Literal["pipeline", "model"]
    name: str
    side: DataSide


def pipeline_topic(prefix: str, namespace: str, pipeline: str, side: DataSide) -> str:
    """Returns the topic of a pipeline's requests or answers."""
    return ".".join((prefix, namespace, "pipeline", pipeline, side))


def model_topic(prefix: str, namespace: str, model: str, side: DataSide) -> str:
    """Returns the topic of a model's requests or answers, those of steps among them."""
    return ".".join((prefix, namespace, "model", model, side))


def errors_topic(prefix: str, namespace: str) -> str:
    """Returns the topic of all failures of a namespace."""
    return f"{prefix}.{namespace}.errors.errors"


def parsed_topic(prefix: str, namespace: str, topic: str) -> RecordTopic | None:
    """Returns the owner and side that the name of a topic says; None for other topics.

    Names of models may have dots.
    """
    start = f"{prefix}.{namespace}."
    found = _OWN.fullmatch(topic[len(start) :]) if topic.startswith(start) else None
    if found is None:
        return None
    return RecordTopic(found[1], found[2], found[3])  # type: ignore[arg-type]  # as the expression says
