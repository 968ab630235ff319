"""The joins that a manifest describes, in one form: those of its steps, output and external inputs.

Called by `compilation`, after `bailie.api.references` has found the references valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default_field
from typing import TYPE_CHECKING

from bailie.dataflow.plan import DataSide, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.pipeline import Join, PipelineInput, PipelineOutput, Step


@dataclass(frozen=True, slots=True)
class DataReference:
    """A reference as it is written, and its meaning; `tensor` is empty for all tensors."""

    text: str
    topic: Topic
    tensor: str
    key: str
    """The beginning of the keys of a tensorMap for this topic: `<step>.outputs`, `<p>.step.<s>.outputs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinFields:
    """One join: the fields of the manifest, with the names that sentences about them use."""

    of: str
    """The thing whose join it is: `step "a"`."""
    path: str
    field: str
    """The name of the field with the references to data."""
    references: tuple[DataReference, ...]
    kind: Join
    triggers: tuple[DataReference, ...] = ()
    triggers_kind: Join = "inner"
    renames: Mapping[str, str] = default_field(default_factory=dict)
    window_ms: int | None = None


def step_fields(pipeline: str, index: int, step: Step) -> JoinFields:
    """Returns the join of a step; a step without inputs reads the pipeline's."""
    return JoinFields(
        of=f'step "{step.name}"',
        path=f"spec.steps[{index}]",
        field="inputs",
        references=_inside(pipeline, step.inputs or (pipeline,)),
        kind=step.inputs_join_type,
        triggers=_inside(pipeline, step.triggers),
        triggers_kind=step.triggers_join_type or "inner",
        renames=step.tensor_map,
        window_ms=step.join_window_ms,
    )


def output_fields(pipeline: str, output: PipelineOutput) -> JoinFields:
    """Returns the join that is the answer."""
    return JoinFields(
        of="the output",
        path="spec.output",
        field="steps",
        references=_inside(pipeline, output.steps),
        kind=output.steps_join,
        renames=output.tensor_map,
        window_ms=output.join_window_ms,
    )


def external_fields(external: PipelineInput) -> JoinFields:
    """Returns the join of other pipelines' data that becomes the pipeline's inputs."""
    return JoinFields(
        of="the input",
        path="spec.input",
        field="externalInputs",
        references=tuple(map(_outside, external.external_inputs)),
        kind=external.join_type,
        triggers=tuple(map(_outside, external.external_triggers)),
        triggers_kind=external.triggers_join_type,
        renames=external.tensor_map,
        window_ms=external.join_window_ms,
    )


def _inside(pipeline: str, texts: Iterable[str]) -> tuple[DataReference, ...]:
    """Reads references in a pipeline: its own name means its inputs, a step's name the step's outputs."""
    found = []
    for text in texts:
        owner, *rest = text.split(".")
        side = _side(rest[0] if rest else ("inputs" if owner == pipeline else "outputs"))
        tensor = rest[1] if len(rest) > 1 else ""
        found.append(DataReference(text, Topic(pipeline, owner, side), tensor, f"{owner}.{side}"))
    return tuple(found)


def _outside(text: str) -> DataReference:
    """Reads a reference to another pipeline (`<p>.outputs.<t>`) or its step (`<p>.step.<s>.outputs.<t>`)."""
    pipeline, *rest = text.split(".")
    of_step = rest[:1] == ["step"]
    owner, *rest = rest[1:] if of_step else [pipeline, *rest]
    side = _side(rest[0] if rest else "outputs")
    tensor = rest[1] if len(rest) > 1 else ""
    key = f"{pipeline}.step.{owner}.{side}" if of_step else f"{pipeline}.{side}"
    return DataReference(text, Topic(pipeline, owner, side), tensor, key)


def _side(text: str) -> DataSide:
    return "inputs" if text == "inputs" else "outputs"
