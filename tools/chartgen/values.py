"""One table of values per chart; `values.yaml`, `values.schema.json` and the README's tables come from it.

A row is a key that the chart honours, or one of Seldon Core's charts that has no effect here. The latter are
accepted, so that a values file that people have still works, and named in the chart's notes when set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bailie.manifests import rbac
from bailie.settings.reader import rows

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
MAP: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECT: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
NUMBER_OR_TEXT: Schema = {"type": ["string", "integer"], "pattern": "^[0-9]+$"}
AT_LEAST_TEN: Schema = {"type": ["string", "integer"], "pattern": "^[1-9][0-9]+$", "minimum": 10}
FLAG_OR_TEXT: Schema = {"enum": [True, False, "true", "false"]}
QUANTITY: Schema = {
    "type": ["string", "number"],
    "pattern": "^([0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?)?$",
}
LOG_LEVEL: Schema = {"enum": ["", "trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"]}
SERVICE_TYPE: Schema = {"enum": ["", "ClusterIP", "NodePort", "LoadBalancer"]}
PULL_POLICY: Schema = {"enum": ["", "Always", "IfNotPresent", "Never"]}


def default_of(kind: type[Any], variable: str) -> str:
    """Returns the default of a variable that a process reads, as it stands in the environment."""
    return next(row.default or "" for row in rows(kind) if row.variable == variable)


@dataclass(frozen=True, slots=True)
class Value:
    """A key of a chart's values: where it is, its default, what it does, what it may be."""

    path: str
    default: Any
    text: str
    schema: Schema = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Keys of Seldon Core's charts that have no effect, and why. `path` is what the `keys` have in common."""

    path: str
    keys: tuple[str, ...]
    why: str

    def paths(self) -> tuple[str, ...]:
        """Returns each key in full."""
        return tuple(f"{self.path}.{key}" if self.path else key for key in self.keys)


Row = Value | Ignored

MODEL_SECRETS = Value(
    "security.modelSecrets",
    list(rbac.MODEL_SECRETS),
    "Secrets that Models may name (`secretName`): what agents may read. `*`: every Secret of the namespace.",
    {"type": "array", "items": STRING},
)
"""Of both charts that make the agents' Role."""


def network_policies(whose: str) -> tuple[Value, ...]:
    """Returns the keys that both charts with NetworkPolicies have."""
    return (
        Value(
            "networkPolicies.enabled",
            True,
            f"Let only the pods that need to connect to {whose}, by NetworkPolicies.",
            BOOLEAN,
        ),
        Value(
            "networkPolicies.monitoring",
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "Who reads metrics besides the pods of the namespace: peers as in the `from` of a NetworkPolicy.",
            {"type": "array", "items": OBJECT},
        ),
    )


def image(component: str, text: str, repository: str = "") -> tuple[Value, ...]:
    """Returns the four keys of an image. What is empty is taken from `image`."""
    registry, _, name = repository.rpartition("|")
    name, _, tag = name.partition(":")
    path = f"{component}.image"
    return (
        Value(f"{path}.registry", registry, f"Registry of the image of {text}.", STRING),
        Value(
            f"{path}.repository",
            name,
            f"Its repository.{'' if name else ' Default: `image.repository`.'}",
            STRING,
        ),
        Value(
            f"{path}.tag",
            tag,
            f"Its tag.{'' if tag else ' Default: `image.tag`.'}",
            {"type": ["string", "number"]},
        ),
        Value(f"{path}.pullPolicy", "", "When it is pulled. Default: `image.pullPolicy`.", PULL_POLICY),
    )


def resources(component: str, cpu: str, memory: str, limit: str = "") -> tuple[Value, ...]:
    """Returns the keys of a container's resources."""
    path = f"{component}.resources"
    return (
        Value(f"{path}.cpu", cpu, "Processor time requested; there is no limit.", QUANTITY),
        Value(f"{path}.memory", memory, "Memory requested.", QUANTITY),
        Value(f"{path}.memoryLimit", limit, "Limit of the memory. Default: what is requested.", QUANTITY),
    )


def honoured(rows: tuple[Row, ...]) -> list[Value]:
    """Returns the rows that have an effect."""
    return [row for row in rows if isinstance(row, Value)]


def ignored(rows: tuple[Row, ...]) -> dict[str, str]:
    """Returns the keys without effect, and why."""
    return {path: row.why for row in rows if isinstance(row, Ignored) for path in row.paths()}
