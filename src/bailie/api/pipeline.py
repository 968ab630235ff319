"""Pipeline: steps (each a Model) joined by the data they exchange.

The types and the entry to the checks; the rules for references are in `bailie.api.references`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from bailie.api.base import Flag, LooseStatus, Part, UInt32
from bailie.api.kinds import PIPELINE, Kind
from bailie.api.model import DataflowSpec
from bailie.api.names import LABEL_RULE, NameRule, model_name_problems
from bailie.api.problems import Problem
from bailie.api.references import cycle_problems, external_problems, reference_problems
from bailie.api.resource import Resource, no_effect
from bailie.api.status import ConditionedStatus
from bailie.api.texts import shown

Join = Literal["inner", "outer", "any"]


class Batch(Part):
    """Requests that are put together before the step."""

    size: UInt32 | None = None
    """Rows of one batch."""
    window_ms: UInt32 | None = None
    """After how many milliseconds a batch that is not full is sent; never when unset."""
    rolling: Flag | None = None
    """Accepted without effect."""


class Step(Part):
    """One Model and the source of its data."""

    name: str
    """The Model."""
    inputs: tuple[str, ...] = ()
    """Where the data comes from; the pipeline's inputs when empty."""
    join_window_ms: UInt32 | None = None
    """How long, in milliseconds, one input waits for the others; 60000 when unset."""
    tensor_map: dict[str, str] = Field(default_factory=dict)
    """New names of tensors, by step.outputs.tensor."""
    triggers: tuple[str, ...] = ()
    """Data that must be there, without being passed on."""
    inputs_join_type: Join = "inner"
    """Which inputs must be there: inner (all), outer (those that come in time) or any (one)."""
    triggers_join_type: Join | None = None
    """Which triggers must be there; inner when unset."""
    batch: Batch | None = None
    """Requests that are put together before the step."""


class PipelineInput(Part):
    """Data of other pipelines that this one reads."""

    external_inputs: tuple[str, ...] = ()
    """References into other pipelines."""
    external_triggers: tuple[str, ...] = ()
    """References into other pipelines that must be there, without being passed on."""
    join_window_ms: UInt32 | None = None
    """How long, in milliseconds, one input waits for the others."""
    join_type: Join = "inner"
    """Which inputs must be there."""
    triggers_join_type: Join = "inner"
    """Which triggers must be there."""
    tensor_map: dict[str, str] = Field(default_factory=dict)
    """New names of tensors."""


class PipelineOutput(Part):
    """The answer of the pipeline."""

    steps: tuple[str, ...] = ()
    """Steps whose data is the answer."""
    join_window_ms: UInt32 | None = None
    """How long, in milliseconds, one step waits for the others."""
    steps_join: Join = "inner"
    """Which steps must be there."""
    tensor_map: dict[str, str] = Field(default_factory=dict)
    """New names of tensors."""


class PipelineSpec(Part):
    """Steps and how they are joined."""

    steps: tuple[Step, ...]
    """The steps, in any order."""
    input: PipelineInput | None = None
    """Data of other pipelines that this one reads."""
    output: PipelineOutput | None = None
    """The answer of the pipeline."""
    dataflow: DataflowSpec | None = None
    """The fate of the pipeline's topics on the message broker, if there is one."""
    allow_cycles: Flag = False
    """Permit steps that come back to themselves."""
    keep_data: Flag = False
    """Keep the tensors of the last requests, and of their steps, in the gateways' memory for a while, so that
    `bailie pipeline inspect` can show them. Bailie's own field."""
    journal: Literal["after", "before"] | None = None
    """With a message broker: when a request is journalled, after its answer or before. With before an answer
    waits for the broker, and is an error without it. Bailie's own field; after when unset."""
    max_step_revisits: UInt32 | None = None
    """How often a request may come back to one step, where cycles are permitted."""


class EdgeMismatch(LooseStatus):
    """An edge whose two ends differ, by what the models say of their tensors."""

    step: str = ""
    """Step that reads; empty for the output."""
    source: str = ""
    """Data that the step reads, for example a.outputs; empty for an input that nothing gives."""
    message: str = ""
    """How they differ."""


class PipelineStatus(ConditionedStatus):
    """Observed state."""

    mismatches: tuple[EdgeMismatch, ...] = ()
    """The first edges for which the condition SignaturesMatch is False."""


class Pipeline(Resource):
    """Steps joined by the data they exchange."""

    resource_kind: ClassVar[Kind] = PIPELINE
    name_rule: ClassVar[NameRule] = LABEL_RULE

    spec: PipelineSpec
    """Steps and how they are joined."""
    status: PipelineStatus = PipelineStatus()
    """Observed state."""

    def check(self) -> list[Problem]:
        """Returns every mistake in the steps and references, and warnings for fields without effect."""
        return [
            *_step_problems(self.metadata.name, self.spec.steps),
            *_references(self.metadata.name, self.spec),
            *_warnings(self.spec),
        ]


def _step_problems(pipeline: str, steps: tuple[Step, ...]) -> list[Problem]:
    if not steps:
        return [Problem("spec.steps", "Required", "give at least one step")]
    found, seen = [], set[str]()
    for index, step in enumerate(steps):
        path = f"spec.steps[{index}].name"
        if not step.name:
            found.append(Problem(path, "Required", "has no name; write the name of its Model"))
        elif step.name == pipeline:
            text = (
                f'step "{pipeline}" has the name of the pipeline, so that references to it have two meanings'
            )
            found.append(Problem(path, "Invalid", text))
        elif step.name in seen:
            found.append(Problem(path, "Duplicate", f'there are two steps "{shown(step.name)}"'))
        else:
            found += model_name_problems(path, step.name)
        seen.add(step.name)
    return found


def _references(pipeline: str, spec: PipelineSpec) -> list[Problem]:
    steps = {step.name for step in spec.steps}
    known, found = steps | {pipeline}, []
    for index, step in enumerate(spec.steps):
        for name, references in (("inputs", step.inputs), ("triggers", step.triggers)):
            path = f"spec.steps[{index}].{name}"
            reader = f'step "{shown(step.name)}"'
            found += reference_problems(path, references, known, reader, pipeline=pipeline)
    if spec.output is not None:
        found += reference_problems(
            "spec.output.steps", spec.output.steps, steps, "the output", pipeline=pipeline
        )
    if spec.input is not None:
        found += external_problems("spec.input.externalInputs", spec.input.external_inputs)
        found += external_problems("spec.input.externalTriggers", spec.input.external_triggers)
        if not spec.input.external_inputs:
            found.append(Problem("spec.input.externalInputs", "Required", "give at least one external input"))
    if not found and not spec.allow_cycles:
        found += cycle_problems({step.name: (*step.inputs, *step.triggers) for step in spec.steps}, pipeline)
    return found


def _warnings(spec: PipelineSpec) -> list[Problem]:
    found = []
    for index, step in enumerate(spec.steps):
        path = f"spec.steps[{index}]"
        if step.batch is not None and step.batch.rolling:
            found.append(no_effect(f"{path}.batch.rolling"))
        if step.batch is not None and step.batch.window_ms and not step.batch.size:
            found.append(no_effect(f"{path}.batch.windowMs", "has no effect without a size above 0"))
        if step.triggers_join_type is not None and not step.triggers:
            found.append(no_effect(f"{path}.triggersJoinType", "has no effect without triggers"))
    if spec.dataflow is not None and spec.dataflow.clean_topics_on_delete:
        found.append(no_effect("spec.dataflow.cleanTopicsOnDelete", "has no effect without a message broker"))
    if spec.journal == "before":
        found.append(no_effect("spec.journal", "has no effect without a message broker"))
    if spec.max_step_revisits and not spec.allow_cycles:
        found.append(no_effect("spec.maxStepRevisits", "has no effect without allowCycles"))
    return found
