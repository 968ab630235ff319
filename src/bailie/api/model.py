"""Model: one artifact to be served under one name.

Read by the scheduler. `content_identity` tells versions apart: it covers the fields that decide the loaded
content, and no field about the number of replicas or the traffic.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from bailie.api.base import Flag, Int32, Part, Quantity, UInt32
from bailie.api.kinds import MODEL, Kind
from bailie.api.names import MODEL_RULE, NameRule, label_problems, model_name_problems, subdomain_problems
from bailie.api.payload_log import PayloadLog, payload_log_of
from bailie.api.problems import Problem
from bailie.api.quantity import parse_quantity
from bailie.api.resource import Resource, no_effect
from bailie.api.scaling import Scalable
from bailie.api.status import ConditionedStatus
from bailie.api.storage import REFUSED, StorageUriRefused, parse_storage_uri
from bailie.api.texts import counted, shown

_LEAST_MEMORY = 1024
"""Bytes below which `memory` was hardly meant so: `500m` are thousandths of a byte."""


class Parameter(Part):
    """A setting that is written into the model's settings as an extra parameter."""

    name: str
    """Name of the parameter."""
    value: str
    """Value, always a string."""


class LLM(Part):
    """The model or pipeline that a language-model runtime calls."""

    model_ref: str | None = None
    """Model that it calls."""
    pipeline_ref: str | None = None
    """Pipeline that it calls."""


class Explainer(LLM):
    """The model or pipeline that an explainer explains."""

    type: str | None = None
    """Kind of explainer, for example anchor_tabular."""


class Logger(Part):
    """Send requests and answers to the sink that the annotation bailie.io/payload-sink names."""

    percent: UInt32 | None = None
    """Part of the requests that is sent, 0 to 100; all of them when unset."""


class DataflowSpec(Part):
    """How the data of this resource on the message broker is treated."""

    clean_topics_on_delete: Flag = False
    """Delete the topics together with the resource."""


class ModelSpec(Scalable):
    """The artifact to serve, and the number of replicas."""

    storage_uri: str
    """Where the artifact is: a path, an https address, or a path on a remote (gs://..., store:...)."""
    model_type: str | None = None
    """One more requirement, for example sklearn."""
    artifact_version: UInt32 | None = None
    """Version folder to pick inside the artifact."""
    schema_uri: str | None = None
    """Accepted without effect."""
    secret_name: str | None = None
    """Secret with the one rclone remote that the storageUri names."""
    requirements: tuple[str, ...] = ()
    """Capabilities that the server must have, all of them, each matched exactly."""
    memory: Quantity | None = None
    """Memory that one replica reserves, for example 500Mi."""
    server: str | None = None
    """Name of the one Server that may hold the model."""
    preloaded: Flag | None = None
    """Accepted without effect."""
    dedicated: Flag | None = None
    """Accepted without effect."""
    logger: Logger | None = None
    """Send requests and answers to the sink that the annotation bailie.io/payload-sink names."""
    explainer: Explainer | None = None
    """The model explains another one."""
    llm: LLM | None = None
    """The model is a language model that calls others."""
    parameters: tuple[Parameter, ...] = ()
    """Extra parameters for the model's settings."""
    dataflow: DataflowSpec | None = None
    """Accepted without effect: a model has no data on a message broker."""

    @property
    def memory_bytes(self) -> int | None:
        """Memory of one replica in bytes, None where nothing is declared."""
        return None if self.memory is None else parse_quantity(self.memory)

    @property
    def effective_requirements(self) -> tuple[str, ...]:
        """The requirements in order, trimmed and without repeats, with the modelType appended."""
        stated = (*self.requirements, self.model_type or "")
        return tuple(dict.fromkeys(text.strip() for text in stated if text.strip()))


class ModelStatus(ConditionedStatus):
    """Observed state."""

    replicas: Int32 | None = Field(default=None)
    """Replicas that exist, ready or not."""
    available_replicas: Int32 | None = None
    """Replicas that are loaded and get requests."""
    selector: str | None = None
    """Selector for autoscalers; matches no pod on purpose."""
    desired_replicas: Int32 | None = None
    """Replicas that the load asks for, where their number follows it."""
    artifact_path: str | None = None
    """File or folder of the artifact that is served, such as model.joblib or 2/model-settings.json."""
    modelgw_ready: str | None = None
    """Absent: Bailie has no model gateway, and takes away what Seldon Core's operator wrote here."""


class Model(Resource):
    """One artifact to be served under one name."""

    resource_kind: ClassVar[Kind] = MODEL
    name_rule: ClassVar[NameRule] = MODEL_RULE

    spec: ModelSpec
    """The artifact to serve, and the number of replicas."""
    status: ModelStatus = ModelStatus()
    """Observed state."""

    def check(self) -> list[Problem]:
        """Returns contradictions within the spec, and warnings for fields without effect."""
        spec = self.spec
        return [
            *_storage_problems(spec),
            *_memory_problems(spec),
            *_reference_problems(spec),
            *_name_problems(spec),
            *spec.scaling_problems(),
            *_warnings(spec),
            *self._read_log()[1],
        ]

    @property
    def payload_log(self) -> PayloadLog | None:
        """Where requests and answers are sent to, None for nowhere."""
        return self._read_log()[0]

    def _read_log(self) -> tuple[PayloadLog | None, list[Problem]]:
        logger, metadata = self.spec.logger, self.metadata
        percent = None if logger is None else logger.percent
        namespace = metadata.namespace or "default"
        return payload_log_of(metadata.name, namespace, percent, metadata.annotations, on=logger is not None)


def content_identity(model: Model) -> str:
    """Returns 16 hex characters that change exactly when another version has to be loaded."""
    spec = model.spec
    content = {
        "uid": model.metadata.uid,
        "storageUri": spec.storage_uri,
        "artifactVersion": spec.artifact_version,
        "secretName": spec.secret_name or None,
        "requirements": spec.effective_requirements,
        "memory": spec.memory_bytes,
        "server": spec.server or None,
        "parameters": [(p.name, p.value) for p in spec.parameters],
        "explainer": spec.explainer and spec.explainer.model_dump(exclude_none=True),
        "llm": spec.llm and spec.llm.model_dump(exclude_none=True),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _storage_problems(spec: ModelSpec) -> list[Problem]:
    if not spec.storage_uri.strip():
        return [Problem("spec.storageUri", "Required", "is empty; name the artifact's location")]
    try:
        parse_storage_uri(spec.storage_uri)
    except StorageUriRefused as refused:
        return [Problem("spec.storageUri", REFUSED, str(refused))]
    return []


def _memory_problems(spec: ModelSpec) -> list[Problem]:
    if spec.memory_bytes is None or spec.memory_bytes > 0:
        return []
    return [Problem("spec.memory", "Invalid", f'must be more than zero, not "{spec.memory}"')]


def _reference_problems(spec: ModelSpec) -> list[Problem]:
    if spec.explainer and spec.llm:
        return [Problem("spec.llm", "Invalid", "explainer and llm exclude each other; keep one of them")]
    for name, part in (("explainer", spec.explainer), ("llm", spec.llm)):
        if part and part.model_ref and part.pipeline_ref:
            return [Problem(f"spec.{name}.pipelineRef", "Invalid", "give modelRef or pipelineRef, not both")]
        if part and not part.model_ref and not part.pipeline_ref:
            return [Problem(f"spec.{name}.modelRef", "Required", "give a modelRef or a pipelineRef")]
    return []


def _name_problems(spec: ModelSpec) -> list[Problem]:
    """Checks the names, which become parts of addresses: of API objects, and of models that this one
    calls."""
    found = subdomain_problems("spec.secretName", spec.secret_name) if spec.secret_name else []
    for name, part in (("explainer", spec.explainer), ("llm", spec.llm)):
        if part and part.model_ref:
            found += model_name_problems(f"spec.{name}.modelRef", part.model_ref)
        if part and part.pipeline_ref:
            found += label_problems(f"spec.{name}.pipelineRef", part.pipeline_ref)
    return found


def _warnings(spec: ModelSpec) -> list[Problem]:
    ignored = {
        "spec.schemaUri": spec.schema_uri,
        "spec.preloaded": spec.preloaded,
        "spec.dedicated": spec.dedicated,
    }
    found = [no_effect(path) for path, value in ignored.items() if value]
    if spec.dataflow is not None:
        found.append(no_effect("spec.dataflow", "has no effect: a Model has no topics on a message broker"))
    if spec.memory_bytes is not None and 0 < spec.memory_bytes < _LEAST_MEMORY:
        text = f'"{spec.memory}" reserves {counted(spec.memory_bytes, "byte")}; write 500Mi for mebibytes'
        found.append(no_effect("spec.memory", text))
    return [*found, *_parameter_warnings(spec.parameters)]


def _parameter_warnings(parameters: tuple[Parameter, ...]) -> Iterator[Problem]:
    last = {each.name: index for index, each in enumerate(parameters)}
    for index, each in enumerate(parameters):
        path = f"spec.parameters[{index}]"
        if not each.name:
            yield no_effect(f"{path}.name", "is empty, so that no model reads the parameter")
        elif last[each.name] != index:
            text = f'"{shown(each.name)}" is there again in spec.parameters[{last[each.name]}], which counts'
            yield no_effect(path, text)
