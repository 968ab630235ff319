"""The inputs and outputs of a pipeline, from the metadata of its steps' models. Pure.

Called by `metadata_questions`; the answers in both protocols are made of it by `answers` and `grpc_answers`.
A tensor of which no model tells datatype and shape is left out: MLServer says nothing of the tensors of many
models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.lifecycle.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.dataflow.plan import Source, StepPlan
    from bailie.lifecycle.signature import TensorMetadata
    from bailie.pipelinegateway.plans import ServedPlan


KnownModels = Mapping[str, Signature]
"""The signatures of models by the name of their step; without those of which nothing is known."""


def asked_steps(served: ServedPlan) -> tuple[str, ...]:
    """Returns the steps whose models tell something of the pipeline's own tensors."""
    plan = served.plan
    first = [name for name, step in plan.steps.items() if _of_request(served, step)]
    last = [source.topic.owner for source in plan.output.data.sources] if plan.output else []
    return tuple(dict.fromkeys((*first, *last)))


def pipeline_tensors(served: ServedPlan, models: KnownModels) -> Signature:
    """Returns the tensors of a pipeline, each once, in the order of the steps."""
    return Signature(_first(_inputs(served, models)), _first(_outputs(served, models)))


def _first(tensors: Iterable[TensorMetadata]) -> tuple[TensorMetadata, ...]:
    """Returns the first tensor of each name."""
    found: dict[str, TensorMetadata] = {}
    for each in tensors:
        found.setdefault(each.name, each)
    return tuple(found.values())


def _inputs(served: ServedPlan, models: KnownModels) -> Iterator[TensorMetadata]:
    for name, step in served.plan.steps.items():
        for source in _of_request(served, step):
            yield from _taken(source, step, models[name].inputs if name in models else ())


def _taken(source: Source, step: StepPlan, known: tuple[TensorMetadata, ...]) -> Iterator[TensorMetadata]:
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
            yield replace(by_name[new], name=old)


def _outputs(served: ServedPlan, models: KnownModels) -> Iterator[TensorMetadata]:
    output = served.plan.output
    for source in output.data.sources if output else ():
        found = models.get(source.topic.owner, Signature())
        for each in found.outputs if source.topic.side == "outputs" else found.inputs:
            if not source.tensors or each.name in source.tensors:
                yield replace(each, name=source.renames.get(each.name, each.name))


def _of_request(served: ServedPlan, step: StepPlan) -> list[Source]:
    return [each for each in step.data.sources if each.topic == served.plan.request]
