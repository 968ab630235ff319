"""Every field that a spec may have is read by something, or its user is told that it has no effect.

A new field of a kind fails here until `READ` says where it is read, or `check` of its kind warns of it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

import bailie
from bailie.api.registry import RESOURCES
from bailie.api.resource import NO_EFFECT

KINDS = {resource.resource_kind.kind: resource for resource in RESOURCES.values()}
SOURCE = Path(bailie.__file__).parent
WHOLE = ".*"
"""End of a path in `READ` whose part is handed on as a whole, with all that is in it."""

CLAIMS = {"spec.volumeClaimTemplates[].name": "claim.name", "spec.volumeClaimTemplates[].spec": "claim.spec"}
SETTINGS = {
    "spec.config": "spec.config",
    "spec.config.agentConfig": "settings.agent_config",
    "spec.config.agentConfig.*": "agent.model_dump",
    # Each of its parts is read or warned of.
    "spec.config.scalingConfig": "",
    "spec.config.kafkaConfig": "settings.kafka_config",
    "spec.config.kafkaConfig.bootstrap.servers": "config.bootstrap_servers",
    "spec.config.kafkaConfig.consumer": "config.consumer",
    "spec.config.kafkaConfig.consumerGroupIdPrefix": "config.consumer_group_id_prefix",
    "spec.config.kafkaConfig.debug": "config.debug",
    "spec.config.kafkaConfig.producer": "config.producer",
    "spec.config.kafkaConfig.topicPrefix": "config.topic_prefix",
    "spec.config.kafkaConfig.topics": "config.topics",
    "spec.config.tracingConfig": "settings.tracing_config",
    "spec.config.tracingConfig.disable": "tracing_config.collector",
    "spec.config.serviceConfig": "settings.service_config",
    "spec.config.serviceConfig.grpcServicePrefix": "service_config.grpc_service_prefix",
    "spec.config.serviceConfig.serviceType": "service_config.service_type",
}
SCALING = {
    "spec.replicas": "spec.scaling.replicas",
    # Bounds: a number of replicas beyond them is refused (test_bounds_refuse).
    "spec.minReplicas": "",
    "spec.maxReplicas": "",
}
READ: dict[str, dict[str, str]] = {
    "Model": {
        **SCALING,
        "spec.minReplicas": "spec.scaling.min_replicas",
        "spec.maxReplicas": "numbers.max_replicas",
        "spec.storageUri": "spec.storage_uri",
        "spec.modelType": "spec.effective_requirements",
        "spec.artifactVersion": "spec.artifact_version",
        "spec.secretName": "spec.secret_name",
        "spec.requirements": "spec.effective_requirements",
        "spec.memory": "spec.memory_bytes",
        "spec.server": "spec.server",
        "spec.explainer": "spec.explainer",
        "spec.explainer.modelRef": "spec.explainer.model_ref",
        "spec.explainer.pipelineRef": "spec.explainer.pipeline_ref",
        "spec.explainer.type": "spec.explainer.type",
        "spec.llm": "spec.llm",
        "spec.llm.modelRef": "spec.llm.model_ref",
        "spec.llm.pipelineRef": "spec.llm.pipeline_ref",
        "spec.parameters": "spec.parameters",
        "spec.parameters[].name": "item.name",
        "spec.parameters[].value": "item.value",
    },
    "Experiment": {
        "spec.default": "spec.default",
        "spec.candidates": "spec.candidates",
        "spec.candidates[].name": "each.name",
        "spec.candidates[].weight": "each.weight",
        "spec.mirror": "spec.mirror",
        "spec.mirror.name": "found.name",
        "spec.mirror.percent": "found.percent",
        "spec.resourceType": "spec.resource_type",
    },
    "Pipeline": {
        "spec.steps": "pipeline.spec.steps",
        "spec.steps[].name": "step.name",
        "spec.steps[].inputs": "step.inputs",
        "spec.steps[].joinWindowMs": "step.join_window_ms",
        "spec.steps[].tensorMap": "step.tensor_map",
        "spec.steps[].triggers": "step.triggers",
        "spec.steps[].inputsJoinType": "step.inputs_join_type",
        "spec.steps[].triggersJoinType": "step.triggers_join_type",
        "spec.steps[].batch": "step.batch",
        "spec.steps[].batch.size": "step.batch.size",
        "spec.steps[].batch.windowMs": "step.batch.window_ms",
        "spec.input": "spec.input",
        "spec.input.externalInputs": "external.external_inputs",
        "spec.input.externalTriggers": "external.external_triggers",
        "spec.input.joinWindowMs": "external.join_window_ms",
        "spec.input.joinType": "external.join_type",
        "spec.input.triggersJoinType": "external.triggers_join_type",
        "spec.input.tensorMap": "external.tensor_map",
        "spec.output": "spec.output",
        "spec.output.steps": "output.steps",
        "spec.output.joinWindowMs": "output.join_window_ms",
        "spec.output.stepsJoin": "output.steps_join",
        "spec.output.tensorMap": "output.tensor_map",
        # Without it a cycle is refused (`Pipeline.check`).
        "spec.allowCycles": "",
        "spec.keepData": "spec.keep_data",
        "spec.maxStepRevisits": "spec.max_step_revisits",
        # Read with the next.
        "spec.dataflow": "",
    },
    "Server": {
        **SCALING,
        "spec.minReplicas": "spec.min_replicas",
        "spec.maxReplicas": "spec.max_replicas",
        "spec.serverConfig": "spec.server_config",
        "spec.extraCapabilities": "spec.extra_capabilities",
        "spec.capabilities": "spec.capabilities",
        "spec.podSpec": "spec.pod_spec",
        "spec.statefulSetPersistentVolumeClaimRetentionPolicy": (
            "spec.stateful_set_persistent_volume_claim_retention_policy"
        ),
        "spec.statefulSetPersistentVolumeClaimRetentionPolicy.*": "policy.model_dump",
        "spec.disableAutoUpdate": "disableAutoUpdate",
    },
    "ServerConfig": {
        "spec.podSpec": "config.spec.pod_spec",
        "spec.volumeClaimTemplates": "config.spec.volume_claim_templates",
        **CLAIMS,
    },
    "SeldonConfig": {
        **SETTINGS,
        "spec.components": "config.spec.components",
        "spec.components[].name": "component.name",
        "spec.components[].labels": "component.labels",
        "spec.components[].annotations": "component.annotations",
        "spec.components[].podSpec": "component.pod_spec",
        "spec.components[].volumeClaimTemplates": "component.volume_claim_templates",
        "spec.components[].volumeClaimTemplates[].name": "c.name",
        "spec.components[].volumeClaimTemplates[].spec": "c.spec",
    },
    "SeldonRuntime": {
        **SETTINGS,
        "spec.seldonConfig": "spec.seldon_config",
        "spec.overrides": "runtime.override",
        "spec.overrides[].name": "override.name",
        "spec.overrides[].disable": "override.disable",
        "spec.overrides[].replicas": "override.replicas",
        "spec.overrides[].serviceType": "override.service_type",
        "spec.overrides[].podSpec": "override.pod_spec",
        "spec.overrides[].keepService": "override.keep_service",
        "spec.disableAutoUpdate": "disableAutoUpdate",
        "spec.config.scalingConfig.models": "models.enabled",
        "spec.config.scalingConfig.models.enabled": "models.enabled",
        "spec.config.scalingConfig.servers": "servers.enabled",
        "spec.config.scalingConfig.servers.enabled": "servers.enabled",
        "spec.config.scalingConfig.servers.scaleDownPackingEnabled": "servers.scale_down_packing_enabled",
        "spec.schedulerNamespace": "spec.scheduler_namespace",
        "spec.servesNamespaces": "spec.serves_namespaces",
        "spec.fallbackMesh": "fallbackMesh",
        "spec.fallbackMesh.namespace": "found.host",
        "spec.fallbackMesh.service": "found.host",
        "spec.fallbackMesh.port": "found.port",
    },
}
by_kind = pytest.mark.parametrize("kind", KINDS)


def fields(part, path):
    """Yields the path of every field, with `[]` after a list."""
    for name, field in part.model_fields.items():
        here = f"{path}.{field.alias or name}"
        yield here
        for inner, listed in parts_of(field.annotation):
            yield from fields(inner, here + ("[]" if listed else ""))


def parts_of(annotation, listed=False):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, listed
    for argument in get_args(annotation):
        yield from parts_of(argument, listed or get_origin(annotation) is tuple)


def sample(annotation) -> Any:
    """Returns a value that the annotation takes and that is no default: as much as can be stated."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return whole(annotation)
    if origin is tuple:
        return [sample(arguments[0])]
    if origin is Literal:
        return next(each for each in reversed(arguments) if each)
    if arguments and origin is not dict:  # a union or an annotated type
        return sample(next(each for each in arguments if each is not type(None)))
    return {bool: True, int: 1, str: "x", dict: {}}[origin or annotation]


def whole(part):
    return {field.alias or name: sample(field.annotation) for name, field in part.model_fields.items()}


def spec_of(kind):
    return KINDS[kind].model_fields["spec"].annotation


def parsed(kind, spec):
    manifest = {
        "apiVersion": KINDS[kind].resource_kind.api_version,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "a"},
        "spec": spec,
    }
    return KINDS[kind].parse(manifest)


AT_TIMES = {"spec.extraCapabilities", "spec.memory"}
"""Fields that are read, and have no effect beside another one, or with the value here."""


@cache
def warned(kind):
    """Returns the paths that are warned of when a spec states all that it can."""
    _, problems = parsed(kind, whole(spec_of(kind)))
    assert not any(problem.reason == "Unknown" for problem in problems), problems
    return {p.path.replace("[0]", "[]") for p in problems if p.reason == NO_EFFECT} - AT_TIMES


def holds(outer, path):
    return path == outer or path.startswith((f"{outer}.", f"{outer}["))


@cache
def expressions():
    """Returns all attributes that are read outside the types themselves, and all texts."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        if not {"_gen", "api"} & set(file.relative_to(SOURCE).parts):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute):
                    found.add(ast.unparse(node))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def is_read(expression):
    return any(each == expression or each.endswith(f".{expression}") for each in expressions())


@by_kind
def test_every_field_is_read_or_warned_of(kind):
    covered = {path for path in READ[kind] if not path.endswith(WHOLE)}
    outer = {path.removesuffix(WHOLE) for path in READ[kind] if path.endswith(WHOLE)} | warned(kind)
    silent = [
        path
        for path in fields(spec_of(kind), "spec")
        if path not in covered and not any(holds(each, path) for each in outer)
    ]
    assert silent == [], "say in READ where it is read, or warn of it in the kind's `check`"


@by_kind
def test_the_table_is_true(kind):
    known = set(fields(spec_of(kind), "spec"))
    assert [path for path in READ[kind] if path.removesuffix(WHOLE) not in known] == []
    assert [path for path, read in READ[kind].items() if read and not is_read(read)] == []


@by_kind
def test_nothing_that_is_read_is_warned_of(kind):
    assert [path for path in READ[kind] for each in warned(kind) if holds(each, path)] == []


@pytest.mark.parametrize("kind", ["Model", "Server"])
def test_bounds_refuse(kind):
    needed = {"storageUri": "/m"} if kind == "Model" else {"serverConfig": "mlserver"}
    for bounds in ({"replicas": 3, "maxReplicas": 2}, {"replicas": 1, "minReplicas": 2}):
        resource, problems = parsed(kind, needed | bounds)
        assert resource is None
        assert [problem.reason for problem in problems] == ["InvalidScaling"]


def test_every_kind_is_in_the_table():
    assert READ.keys() == KINDS.keys()


def test_a_field_that_nobody_reads_is_found():
    assert not is_read("spec.colour")
    assert is_read("spec.storage_uri")
    assert holds("spec.logger", "spec.logger.percent")
    assert not holds("spec.logger", "spec.loggers")
