"""CustomResourceDefinitions, generated from the resource types.

The chart, `bailie crds` and the embedded API take them from here; nothing else describes the schema.
Structural schemas only: no references, no additionalProperties beside properties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.experiment import Experiment
from bailie.api.field_docs import describe
from bailie.api.kinds import MLOPS_GROUP, MLOPS_VERSION
from bailie.api.model import Model
from bailie.api.pipeline import Pipeline
from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig

if TYPE_CHECKING:
    from bailie.api.resource import Resource

Schema = dict[str, Any]

_KEPT = ("type", "format", "pattern", "enum", "minimum", "maximum", "anyOf", "required")
_API_VERSION = "Group and version of the kind (https://kubernetes.io/docs/reference/using-api/)."
_CATEGORIES = ["seldon"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; with priority 1 it shows only in the wide output."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0

    def manifest(self) -> Schema:
        """Returns the column as `additionalPrinterColumns` has it."""
        column: Schema = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**column, "priority": self.priority} if self.priority else column


@dataclass(frozen=True, slots=True)
class Definition:
    """The parts of a CRD beside the schema."""

    resource: type[Resource]
    columns: tuple[Column, ...]
    short_name: str = ""
    scalable: bool = False


def _condition(name: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{name}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_MESSAGE = Column("Message", _condition("Ready", "message"))

DEFINITIONS = (
    Definition(
        Model,
        (
            Column("Ready", _condition("ModelReady")),
            Column("Desired Replicas", ".spec.replicas", "integer"),
            Column("Available Replicas", ".status.availableReplicas", "integer"),
            Column("ModelGw Ready", ".status.modelgwReady"),
            Column("Reason", _condition("Ready", "reason"), priority=1),
            Column("Message", _condition("Ready", "message"), priority=1),
            _AGE,
        ),
        short_name="mlm",
        scalable=True,
    ),
    Definition(
        Pipeline,
        (
            Column("Pipeline ready", _condition("Ready")),
            Column("Models ready", _condition("ModelsReady"), priority=1),
            Column("PipelineGw ready", _condition("PipelineGwReady"), priority=1),
            Column("Dataflow ready", _condition("PipelineReady"), priority=1),
            _MESSAGE,
            _AGE,
        ),
        short_name="mlp",
    ),
    Definition(
        Experiment,
        (
            Column("Experiment ready", _condition("ExperimentReady")),
            Column("Candidates ready", _condition("CandidatesReady"), priority=1),
            Column("Mirror ready", _condition("MirrorReady"), priority=1),
            _MESSAGE,
            _AGE,
        ),
        short_name="mlx",
    ),
    Definition(
        Server,
        (
            Column("Ready", _condition("Ready")),
            Column("Replicas", ".status.replicas", "integer"),
            Column("Loaded Models", ".status.loadedModels", "integer"),
            _AGE,
        ),
        short_name="mls",
        scalable=True,
    ),
    Definition(ServerConfig, (_AGE,), short_name="mlc"),
    Definition(
        SeldonRuntime,
        (
            Column("Ready", _condition("Ready")),
            Column("Message", _condition("Ready", "message"), priority=1),
            _AGE,
        ),
    ),
    Definition(SeldonConfig, (_AGE,)),
)


def crd_manifests() -> list[Schema]:
    """Returns the seven CustomResourceDefinitions, each complete and ready to be applied."""
    return [_manifest(definition) for definition in DEFINITIONS]


def resource_schema(resource: type[Resource]) -> Schema:
    """Returns the structural schema of a kind."""
    whole = resource.model_json_schema(by_alias=True)
    describe(whole, resource)
    schema = _structural(whole, whole.get("$defs", {}))
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string", "description": _API_VERSION}
    properties["metadata"] = _metadata(resource)
    schema["required"] = ["spec"]
    return schema


def _metadata(resource: type[Resource]) -> Schema:
    """Returns the schema of the metadata, of which a definition may restrict only the name."""
    if resource.name_rule is None:
        return {"type": "object"}
    rule = resource.name_rule
    name = {"type": "string", "maxLength": rule.longest, "pattern": f"^{rule.pattern}$"}
    return {"type": "object", "properties": {"name": name}}


def _manifest(definition: Definition) -> Schema:
    kind = definition.resource.resource_kind
    names: Schema = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "categories": _CATEGORIES,
    }
    if definition.short_name:
        names["shortNames"] = [definition.short_name]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{MLOPS_GROUP}"},
        "spec": {
            "group": MLOPS_GROUP,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(definition)],
        },
    }


def _version(definition: Definition) -> Schema:
    subresources: Schema = {"status": {}}
    if definition.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "name": MLOPS_VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": resource_schema(definition.resource)},
        "subresources": subresources,
        "additionalPrinterColumns": [column.manifest() for column in definition.columns],
    }


def _structural(node: Schema, definitions: Schema) -> Schema:
    """Returns the JSON schema as Kubernetes wants it: references put in place, null alternatives dropped."""
    node = _resolved(node, definitions)
    extensions = {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    schema: Schema = {key: node[key] for key in _KEPT if key in node} | extensions
    if "description" in node:
        schema["description"] = " ".join(node["description"].split())
    if isinstance(node.get("default"), str) and node["default"]:
        schema["default"] = node["default"]
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    if "properties" in node:
        members = node["properties"].items()
        schema["properties"] = {name: _structural(member, definitions) for name, member in members}
    if isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    return schema


def _resolved(node: Schema, definitions: Schema) -> Schema:
    """Follows `$ref` and the one alternative beside null; keys beside the reference win."""
    node = dict(node)
    while "$ref" in node:
        target = definitions[node.pop("$ref").rpartition("/")[2]]
        node = {**target, **node}
    alternatives = [item for item in node.get("anyOf", ()) if item != {"type": "null"}]
    if len(alternatives) == 1 and len(node["anyOf"]) > 1:
        node.pop("anyOf")
        return _resolved({**alternatives[0], **node}, definitions)
    return node
