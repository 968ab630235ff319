"""One table of values per chart; what the chart reads, `values.yaml` and the README's tables come from it.

A row is a key that the chart honours, or keys of Seldon Core's charts without effect here. The latter are
accepted, so that a values file that people have still works, and named in the chart's notes when set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bailie.manifests import rbac
from bailie.settings.reader import rows


@dataclass(frozen=True, slots=True)
class Kind:
    """How a key is read (`bailie.read.<name>` of the charts), and what a refusal says to give in its place.

    `choices`, `pattern`, `least` and `most` (0: no bound) limit it; with `blank` an empty text is a value and
    not an unset key.
    """

    name: str
    may: str
    choices: tuple[str, ...] = ()
    pattern: str = ""
    least: int = 0
    most: int = 0
    blank: bool = False


def choice(*choices: str, may: str = "", blank: bool = False) -> Kind:
    """Returns one of a few words, in capitals or not."""
    return Kind("choice", may or f"one of {', '.join(choices)}", choices, blank=blank)


def count(least: int = 0, most: int = 0) -> Kind:
    """Returns a whole number, as such or as text; `most` of 0 is no bound."""
    may = f"a whole number from {least} to {most}" if most else f"a whole number, {least} or more"
    return Kind("count", may, least=least, most=most)


def texts(may: str, *, choices: tuple[str, ...] = (), pattern: str = "") -> Kind:
    """Returns a list of texts, or one text with commas."""
    return Kind("texts", may, choices, pattern)


TEXT = Kind("text", "text")
BLANK = Kind("text", "text", blank=True)
FLAG = Kind("flag", "true or false")
WORDS = Kind("words", "names separated by commas")
NAMES = texts("a list of names")
SECRETS = Kind("secrets", "a list of `{name: …}`")
MAP = Kind("map", "a map of texts")
OBJECT = Kind("object", "a map, as in Kubernetes")
OBJECTS = Kind("objects", "a list of maps, as in Kubernetes")
QUANTITY = Kind(
    "quantity",
    "a quantity such as 500m or 2Gi",
    pattern="^[0-9]+([.][0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][0-9]+)?$",
)
CLAIM = Kind(QUANTITY.name, QUANTITY.may, pattern=QUANTITY.pattern, blank=True)
LOG_LEVEL = choice("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
SERVICE_TYPE = choice("ClusterIP", "NodePort", "LoadBalancer")
PULL_POLICY = choice("Always", "IfNotPresent", "Never")


def default_of(kind: type[Any], variable: str) -> str:
    """Returns the default of a variable that a process reads, as it stands in the environment."""
    return next(row.default or "" for row in rows(kind) if row.variable == variable)


@dataclass(frozen=True, slots=True)
class Value:
    """A key of a chart's values: where it is, its default, what it does, what it may be."""

    path: str
    default: Any
    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Ignored:
    """A key of Seldon Core's charts, or a branch of them, that has no effect, and why.

    `keys` are those of Seldon Core below it. The notes tell all keys of one `told` in a line; default: `why`.
    """

    path: str
    why: str
    keys: tuple[str, ...] = ()
    told: str = ""

    def paths(self) -> tuple[str, ...]:
        """Returns each key in full."""
        return tuple(f"{self.path}.{key}" for key in self.keys) or (self.path,)


Row = Value | Ignored

MODEL_SECRETS = Value(
    "security.modelSecrets",
    list(rbac.MODEL_SECRETS),
    "Secrets that Models may name (`secretName`): what agents may read. `*`: every Secret of the namespace.",
    NAMES,
)
"""Of both charts that make the agents' Role."""


def kafka_values(path: str) -> tuple[Value, ...]:
    """Returns the keys of a message broker, which both charts with SeldonConfigs or SeldonRuntimes have."""
    properties = "Properties of {0}, as librdkafka names them, or with capitals in place of dots (`{1}`)."
    return (
        Value(
            f"{path}.bootstrap",
            "",
            "Brokers of Kafka, as host:port, separated by commas. Empty: pipelines run without a broker.",
            TEXT,
        ),
        Value(f"{path}.topicPrefix", "", "Prefix of topics. Default: `seldon`.", TEXT),
        Value(f"{path}.consumerGroupIdPrefix", "", "Prefix of the gateways' consumer groups.", TEXT),
        Value(f"{path}.debug", "", "Debug contexts of the client library, which then logs more.", TEXT),
        Value(f"{path}.consumer", {}, properties.format("consumers", "sessionTimeoutMs"), OBJECT),
        Value(f"{path}.producer", {}, properties.format("producers", "compressionType"), OBJECT),
        Value(f"{path}.topics", {}, "`numPartitions` and `replicationFactor` of new topics; 1 each.", OBJECT),
    )


def network_policies(whose: str) -> tuple[Value, ...]:
    """Returns the keys that both charts with NetworkPolicies have."""
    return (
        Value(
            "networkPolicies.enabled",
            True,
            f"Let only the pods that need to connect to {whose}, by NetworkPolicies.",
            FLAG,
        ),
        Value(
            "networkPolicies.monitoring",
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "Who reads metrics besides the pods of the namespace: peers as in the `from` of a NetworkPolicy.",
            OBJECTS,
        ),
    )


def monitors(whose: str) -> tuple[Value, ...]:
    """Returns the keys that both charts with PodMonitors have."""
    return (
        Value(
            "monitoring.enabled",
            False,
            f"Make {whose}. The definitions of the Prometheus operator have to be there.",
            FLAG,
        ),
        Value(
            "monitoring.labels",
            {},
            "Labels of these objects by which your Prometheus selects them, such as `release`.",
            MAP,
        ),
        Value(
            "monitoring.interval",
            "",
            "Time between two reads of the metrics, such as `30s`. Default: your Prometheus's.",
            Kind("quantity", "a duration such as 30s", pattern="^[1-9][0-9]*(ms|s|m|h)$", blank=True),
        ),
    )


def image(component: str, text: str, repository: str = "") -> tuple[Value, ...]:
    """Returns the four keys of an image. What is empty is taken from `image`."""
    registry, _, name = repository.rpartition("|")
    name, _, tag = name.partition(":")
    path = f"{component}.image"
    return (
        Value(f"{path}.registry", registry, f"Registry of the image of {text}.", TEXT),
        Value(
            f"{path}.repository",
            name,
            f"Its repository.{'' if name else ' Default: `image.repository`.'}",
            TEXT,
        ),
        Value(f"{path}.tag", tag, f"Its tag.{'' if tag else ' Default: `image.tag`.'}", TEXT),
        Value(f"{path}.pullPolicy", "", "When it is pulled. Default: `image.pullPolicy`.", PULL_POLICY),
    )


def resources(component: str, cpu: str, memory: str, limit: str = "") -> tuple[Value, ...]:
    """Returns the keys of a container's resources."""
    path = f"{component}.resources"
    return (
        Value(f"{path}.cpu", cpu, "Processor time requested.", QUANTITY),
        Value(f"{path}.memory", memory, "Memory requested.", QUANTITY),
        Value(f"{path}.limits.cpu", "", "Limit of the processor time. Default: none.", QUANTITY),
        Value(
            f"{path}.limits.memory",
            limit,
            "Limit of the memory. Default: what is requested; never less.",
            QUANTITY,
        ),
    )


def honoured(rows: tuple[Row, ...]) -> list[Value]:
    """Returns the rows that have an effect."""
    return [row for row in rows if isinstance(row, Value)]


def ignored(rows: tuple[Row, ...]) -> list[Ignored]:
    """Returns the rows without effect."""
    return [row for row in rows if isinstance(row, Ignored)]
