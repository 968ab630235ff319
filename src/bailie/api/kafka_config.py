"""The message broker of a namespace's pipelines, as SeldonConfigs and SeldonRuntimes describe it.

Part of `seldon_config`. The properties of producers and consumers are librdkafka's; which of them exist only
that library knows, in the gateways, so a name that is unknown there becomes a condition of the Pipelines.
"""

import hashlib
from collections.abc import Mapping

from pydantic import Field

from bailie.api.base import IntOrString, Part
from bailie.api.problems import Problem
from bailie.api.resource import no_effect

_HARMFUL = {
    "plugin.library.paths": "loads code into the gateway",
    "sasl.kerberos.kinit.cmd": "runs a command in the gateway",
    "sasl.oauthbearer.assertion.file": "sends a file of the gateway to the broker's side",
    "sasl.oauthbearer.assertion.jwt.template.file": "sends a file of the gateway to the broker's side",
    "ssl.engine.location": "loads code into the gateway",
    "ssl.engine.id": "loads code into the gateway",
    "ssl.providers": "loads code into the gateway",
}
"""Properties that reach beyond the connection: the gateway has the token of the control plane."""
OWN_PROPERTIES = frozenset(
    {
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "group.instance.id",
        "isolation.level",
        "metadata.broker.list",
        "partition.assignment.strategy",
        "statistics.interval.ms",
        "transactional.id",
    }
)
"""Properties that the gateway sets itself."""
_TOPIC_SETTINGS = {"numPartitions": 1_000_000, "replicationFactor": 32_767}
"""Settings of topics, and the largest value of each that the protocol knows."""
_LONGEST_PREFIX = 100
"""Characters: names of topics have 249, and two names of objects are in them."""
NO_BROKER = "none"
"""In place of the digest of kafka.json: no broker is configured."""


class KafkaConfig(Part):
    """The message broker to which requests to pipelines are journalled, and its topics."""

    bootstrap_servers: str | None = Field(default=None, alias="bootstrap.servers")
    """Brokers, as host:port, separated by commas. Without them there is no broker."""
    consumer_group_id_prefix: str | None = None
    """Prefix of the consumer groups."""
    debug: str | None = None
    """Debug contexts of the client library, which then logs more."""
    consumer: dict[str, IntOrString] | None = None
    """Properties of consumers, as librdkafka names them."""
    producer: dict[str, IntOrString] | None = None
    """Properties of producers, as librdkafka names them."""
    streams: dict[str, IntOrString] | None = None
    """Accepted without effect: no stream processor runs."""
    topics: dict[str, IntOrString] | None = None
    """Settings of topics: replicationFactor and numPartitions, 1 each when unset."""
    topic_prefix: str | None = None
    """Prefix of the topics; seldon when unset."""

    def problems(self, path: str) -> list[Problem]:
        """Returns mistakes, and warnings for settings without effect; `path` is where this object stands."""
        found = [
            *property_problems(f"{path}.consumer", self.consumer or {}),
            *property_problems(f"{path}.producer", self.producer or {}),
            *_topic_problems(f"{path}.topics", self.topics or {}),
            *_prefix_problems(f"{path}.topicPrefix", self.topic_prefix or ""),
        ]
        if self.streams is not None:
            found.append(no_effect(f"{path}.streams", "has no effect: pipelines run without Kafka Streams"))
        return found


def content_digest(text: bytes) -> str:
    """Returns a digest of kafka.json, by which a gateway knows whether the file is that of its Server."""
    return hashlib.sha256(text).hexdigest()[:16]


def property_problems(path: str, properties: Mapping[str, IntOrString]) -> list[Problem]:
    """Returns the properties that are refused, and warnings for those that the gateway sets itself."""
    found = []
    for name in sorted(properties):
        if name in _HARMFUL:
            text = f"is refused, for it {_HARMFUL[name]}; take it away"
            found.append(Problem(f"{path}.{name}", "Forbidden", text))
        elif name in OWN_PROPERTIES:
            found.append(no_effect(f"{path}.{name}", "has no effect: the pipeline gateway sets it itself"))
    return found


def whole_number(value: IntOrString | None, most: int) -> int | None:
    """Returns a setting of topics as a number from 1 to `most`; None where it is none."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= most else None


def topic_number(topics: Mapping[str, IntOrString], name: str) -> int:
    """Returns `numPartitions` or `replicationFactor`; 1 where it is unset or no such number."""
    return whole_number(topics.get(name), _TOPIC_SETTINGS[name]) or 1


def _topic_problems(path: str, topics: Mapping[str, IntOrString]) -> list[Problem]:
    found = []
    for name, value in sorted(topics.items()):
        if name not in _TOPIC_SETTINGS:
            text = f"has no effect: the settings of topics are {' and '.join(_TOPIC_SETTINGS)}"
            found.append(no_effect(f"{path}.{name}", text))
        elif whole_number(value, _TOPIC_SETTINGS[name]) is None:
            text = f'must be a whole number from 1 to {_TOPIC_SETTINGS[name]}, not "{value}"'
            found.append(Problem(f"{path}.{name}", "Invalid", text))
    return found


def _prefix_problems(path: str, prefix: str) -> list[Problem]:
    allowed = prefix.isascii() and all(each.isalnum() or each in "._-" for each in prefix)
    if allowed and len(prefix) <= _LONGEST_PREFIX:
        return []
    text = f"must be at most {_LONGEST_PREFIX} letters, digits, dots, hyphens and underscores"
    return [Problem(path, "Invalid", text)]
