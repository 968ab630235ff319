"""A Pipeline's manifest as a plan, or the sentences that say why there is none.

Called by `dataflow` for its users. `Pipeline.check` finds the mistakes in single references; this module
those of the graph as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bailie.api.problems import Problem
from bailie.api.references import way_round
from bailie.api.resource import NO_EFFECT, no_effect
from bailie.dataflow import order
from bailie.dataflow.fields import external_fields, output_fields, step_fields
from bailie.dataflow.plan import JOIN_WINDOW_MS, PipelinePlan, StepPlan, Topic
from bailie.dataflow.sources import data_join, join_warnings, trigger_join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from bailie.api.pipeline import Pipeline, Step
    from bailie.dataflow.fields import JoinFields

UNANSWERED = "NoOutput"
"""Reason of the warnings that some or all requests get no data as their answer."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan, or None with at least one error. With warnings alone the pipeline can run."""

    plan: PipelinePlan | None
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def compile_pipeline(pipeline: Pipeline) -> Compiled:
    """Returns the plan of a Pipeline with every mistake in it, those of `Pipeline.check` included."""
    checked = pipeline.check()
    warnings = [each for each in checked if each.reason == NO_EFFECT]
    errors = [each for each in checked if each.reason != NO_EFFECT]
    if errors:
        return Compiled(None, tuple(errors), tuple(warnings))
    name, spec = pipeline.metadata.name, pipeline.spec
    fields = [step_fields(name, index, step) for index, step in enumerate(spec.steps)]
    output = output_fields(name, spec.output) if spec.output and spec.output.steps else None
    external = external_fields(spec.input) if spec.input else None
    for each in filter(None, (*fields, output, external)):
        warnings += join_warnings(each)
    steps = {
        step.name: _batched(step, _join(step.name, each))
        for step, each in zip(spec.steps, fields, strict=True)
    }
    errors = [*_called_without_end(steps), *_never_begun(name, steps)]
    if errors:
        return Compiled(None, tuple(errors), tuple(warnings))
    plan = _plan(
        pipeline,
        steps,
        output=_join(name, output) if output else None,
        external=_join(name, external) if external else None,
    )
    return Compiled(plan, (), (*warnings, *_batch_warnings(pipeline, plan), *_output_warnings(plan)))


def cycles_between(reads: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Returns a sentence for each pipeline that takes its inputs from itself by way of others, by name.

    `reads`: the pipelines of a namespace that each one takes inputs from, by name. Each request would begin
    the next for ever.
    """
    edges = {name: [other for other in others if other in reads] for name, others in reads.items()}
    found: dict[str, str] = {}
    for group in order.groups(edges):
        if group.cycle:
            members = frozenset(group.steps)
            way = way_round({name: [each for each in edges[name] if each in members] for name in group.steps})
            text = f"the pipelines {' -> '.join(way or group.steps)} form a cycle"
            sentence = f"{text}; take one of them out of another's input"
            found.update(dict.fromkeys(group.steps, sentence))
    return found


def _join(name: str, fields: JoinFields) -> StepPlan:
    window = fields.window_ms or JOIN_WINDOW_MS
    return StepPlan(name=name, data=data_join(fields), triggers=trigger_join(fields), window_ms=window)


def _batched(step: Step, plan: StepPlan) -> StepPlan:
    if step.batch is None or len(plan.data.sources) > 1:
        return plan
    return replace(plan, batch_rows=step.batch.size or 0, batch_window_ms=step.batch.window_ms or 0)


def _plan(
    pipeline: Pipeline, steps: Mapping[str, StepPlan], *, output: StepPlan | None, external: StepPlan | None
) -> PipelinePlan:
    reading = order.reading(steps)
    groups = order.groups(reading)
    required = order.reachable(reading, order.owners(output)) if output else steps.keys()
    in_cycles = [name for group in groups if group.cycle for name in group.steps]
    repeats = order.reachable(order.reversed_edges(reading), in_cycles)
    planned = {
        name: replace(step, required=name in required, repeats=name in repeats)
        for name, step in steps.items()
    }
    return PipelinePlan(
        name=pipeline.metadata.name,
        steps=planned,
        groups=groups,
        output=output,
        external=external,
        most_visits=1 + (pipeline.spec.max_step_revisits or 0),
        readers=_readers((*steps.values(), *filter(None, [output]))),
        group_of={name: index for index, group in enumerate(groups) for name in group.steps},
    )


def _readers(joins: Iterable[StepPlan]) -> dict[Topic, tuple[str, ...]]:
    found: defaultdict[Topic, dict[str, None]] = defaultdict(dict)
    for each in joins:
        for topic in each.topics:
            found[topic][each.name] = None
    return {topic: tuple(readers) for topic, readers in found.items()}


def _called_without_end(steps: Mapping[str, StepPlan]) -> Iterator[Problem]:
    """Yields the first cycle in which no step waits for another one's outputs: it would never end."""
    reads = {
        name: [topic.owner for topic in step.topics if topic.side == "inputs" and topic.owner in steps]
        for name, step in steps.items()
    }
    way = way_round(reads)
    if way is not None:
        text = f"the steps {' -> '.join(way)} read each other's inputs in a cycle; one must read outputs"
        yield Problem("spec.steps", "Invalid", text)


def _never_begun(pipeline: str, steps: Mapping[str, StepPlan]) -> Iterator[Problem]:
    never = order.never_begin(steps, pipeline)
    for index, (name, step) in enumerate(steps.items()):
        missing = [owner for owner in order.owners(step) if owner in never]
        if name in never and missing:
            text = (
                f'step "{name}" can never begin: it waits for "{missing[0]}", which cannot begin before it; '
                f"join the way into the cycle with any or outer"
            )
            yield Problem(f"spec.steps[{index}]", "Invalid", text)


def _batch_warnings(pipeline: Pipeline, plan: PipelinePlan) -> Iterator[Problem]:
    for index, step in enumerate(pipeline.spec.steps):
        path = f"spec.steps[{index}].batch"
        if step.batch is not None and step.batch.size and not plan.steps[step.name].batch_rows:
            yield no_effect(
                path, f'step "{step.name}" joins several sources, and only one source can be batched'
            )
        elif plan.steps[step.name].batch_rows and plan.output and plan.steps[step.name].required:
            text = (
                f'step "{step.name}": the answer needs this step, and only the request that fills a batch '
                f"gets its data; leave the step out of the ways to the output"
            )
            yield Problem(path, UNANSWERED, text)


def _output_warnings(plan: PipelinePlan) -> Iterator[Problem]:
    if plan.output is None:
        yield Problem(
            "spec.output", UNANSWERED, "without output.steps the answer to each request has no tensors"
        )
