"""The inputs and outputs of a pipeline, from the metadata of its steps' models. Pure.

Called by `metadata_questions`; the answers in both protocols are made of it by `answers` and `grpc_answers`.
A tensor of which no model tells datatype and shape is left out: MLServer says nothing of the tensors of many
models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.dataflow.plan import Source, StepPlan
    from bailie.pipelinegateway.plans import ServedPlan

_MOST_BYTES = 256 << 10
"""Of a model's metadata; of a longer answer nothing is known."""
_Dimension = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""As the protocol has it over gRPC; -1 for any size."""


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor as the Open Inference Protocol describes one."""

    name: str
    datatype: str
    shape: list[_Dimension]


class ModelMetadata(msgspec.Struct, frozen=True):
    """The tensors of one model, or of a pipeline."""

    inputs: list[TensorMetadata] = []
    outputs: list[TensorMetadata] = []


KnownModels = Mapping[str, ModelMetadata]
"""The metadata of models by the name of their step; without those of which nothing is known."""


def model_metadata(body: bytes) -> ModelMetadata | None:
    """Returns the tensors in the answer of a model; None for an answer that cannot be read."""
    if len(body) > _MOST_BYTES:
        return None
    try:
        return msgspec.json.decode(body, type=ModelMetadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def asked_steps(served: ServedPlan) -> tuple[str, ...]:
    """Returns the steps whose models tell something of the pipeline's own tensors."""
    plan = served.plan
    first = [name for name, step in plan.steps.items() if _of_request(served, step)]
    last = [source.topic.owner for source in plan.output.data.sources] if plan.output else []
    return tuple(dict.fromkeys((*first, *last)))


def pipeline_tensors(served: ServedPlan, models: KnownModels) -> ModelMetadata:
    """Returns the tensors of a pipeline, each once, in the order of the steps."""
    return ModelMetadata(_first(_inputs(served, models)), _first(_outputs(served, models)))


def _first(tensors: Iterable[TensorMetadata]) -> list[TensorMetadata]:
    """Returns the first tensor of each name."""
    found: dict[str, TensorMetadata] = {}
    for each in tensors:
        found.setdefault(each.name, each)
    return list(found.values())


def _inputs(served: ServedPlan, models: KnownModels) -> Iterator[TensorMetadata]:
    for name, step in served.plan.steps.items():
        for source in _of_request(served, step):
            yield from _taken(source, step, models[name].inputs if name in models else [])


def _taken(source: Source, step: StepPlan, known: list[TensorMetadata]) -> Iterator[TensorMetadata]:
    """Yields the tensors of a request that a step takes, by their names in the request."""
    by_name = {each.name: each for each in known}
    old_names = {new: old for old, new in source.renames.items()}
    others = [each for each in step.data.sources if each is not source]
    if source.tensors:
        wanted = {old: source.renames.get(old, old) for old in source.tensors}
    elif all(each.tensors for each in others):
        elsewhere = {each.renames.get(name, name) for each in others for name in each.tensors}
        wanted = {old_names.get(name, name): name for name in by_name if name not in elsewhere}
    else:  # which of two sources gives the model's input is known only when data come
        wanted = dict(source.renames)
    for old, new in wanted.items():
        if new in by_name:
            yield msgspec.structs.replace(by_name[new], name=old)


def _outputs(served: ServedPlan, models: KnownModels) -> Iterator[TensorMetadata]:
    output = served.plan.output
    for source in output.data.sources if output else ():
        found = models.get(source.topic.owner, ModelMetadata())
        for each in found.outputs if source.topic.side == "outputs" else found.inputs:
            if not source.tensors or each.name in source.tensors:
                yield msgspec.structs.replace(each, name=source.renames.get(each.name, each.name))


def _of_request(served: ServedPlan, step: StepPlan) -> list[Source]:
    return [each for each in step.data.sources if each.topic == served.plan.request]
