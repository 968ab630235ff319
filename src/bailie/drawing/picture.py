"""A pipeline's graph as nodes and edges, with the rows of text that a picture has of each node.

Called by `cli.pipelines`. Names in a manifest are strangers' texts: a row is one line of
printable characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bailie.api.resource import NO_EFFECT
from bailie.api.texts import shown
from bailie.dataflow import FollowerIndex, compile_pipeline
from bailie.dataflow.fields import external_fields, output_fields, step_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bailie.api.pipeline import EdgeMismatch, Pipeline, Step
    from bailie.api.problems import Problem
    from bailie.dataflow import Compiled, PipelinePlan, Topic
    from bailie.dataflow.fields import DataReference, JoinFields

REQUEST, ANSWER = "(request)", "(answer)"
"""Keys of the two nodes that are no steps; no name has brackets."""
_STEP = re.compile(r"spec\.steps\[(\d+)\]")
_LONGEST_NAME = 60


class Role(StrEnum):
    """The part of a node in the graph."""

    REQUEST = "request"
    STEP = "step"
    SIDE = "side branch"
    ANSWER = "answer"
    OTHER = "other pipeline"
    FOLLOWER = "follower"
    UNKNOWN = "unknown"


class Tone(StrEnum):
    """The kind of a row."""

    PLAIN = "plain"
    PRESENT = "present"
    ABSENT = "absent"
    MISTAKE = "mistake"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A row of text in a node; `source` and `tensors` where it is data of one topic, all tensors without any.

    `quiet`: the line in the picture says as much, so that only a trace shows the row.
    """

    text: str
    tone: Tone = Tone.PLAIN
    source: Topic | None = None
    tensors: tuple[str, ...] = ()
    trigger: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class PictureNode:
    """A box: its key, its text, and the kinds of its joins, empty where nothing is joined."""

    key: str
    title: str
    role: Role
    rows: tuple[PictureRow, ...] = ()
    join: str = ""
    triggers: str = ""


@dataclass(frozen=True, slots=True)
class PictureEdge:
    """Data that goes from one node to another; a trigger is waited for, and not passed on."""

    source: str
    target: str
    trigger: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphPicture:
    """A pipeline's graph. `problems`: the mistakes and warnings that belong to no node."""

    name: str
    nodes: tuple[PictureNode, ...]
    edges: tuple[PictureEdge, ...]
    problems: tuple[PictureRow, ...] = ()

    def data(self) -> dict[str, Any]:
        """Returns the graph as JSON data."""
        return {
            "pipeline": self.name,
            "nodes": [
                {"name": each.key, "title": each.title, "role": each.role.value}
                | {name: value for name, value in (("join", each.join), ("triggers", each.triggers)) if value}
                | {"rows": [{"text": row.text, "kind": row.tone.value} for row in each.rows if not row.quiet]}
                for each in self.nodes
            ],
            "edges": [
                {"from": each.source, "to": each.target, "trigger": each.trigger, "tensors": [*each.labels]}
                for each in self.edges
            ],
            "problems": [{"text": row.text, "kind": row.tone.value} for row in self.problems],
        }


@dataclass(slots=True)
class _Builder:
    name: str
    nodes: dict[str, PictureNode] = field(default_factory=dict)
    edges: dict[tuple[str, str, bool], list[str]] = field(default_factory=dict)

    def edge(self, source: str, target: str, label: str, *, trigger: bool) -> None:
        labels = self.edges.setdefault((source, target, trigger), [])
        if label and label not in labels:
            labels.append(label)

    def put(self, node: PictureNode) -> None:
        self.nodes[node.key] = node

    def add_rows(self, key: str, rows: Iterable[PictureRow]) -> None:
        self.nodes[key] = replace(self.nodes[key], rows=(*self.nodes[key].rows, *rows))

    def unknown(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.nodes:
                self.put(PictureNode(name, f"{_short(name)} ?", Role.UNKNOWN))


def picture_of(pipeline: Pipeline, others: Mapping[str, PipelinePlan] | None = None) -> GraphPicture:
    """Returns the graph of a Pipeline, with its mistakes and the mismatches that its status tells.

    `others`: plans of other pipelines of the namespace by name, for those that follow this one.
    """
    compiled = compile_pipeline(pipeline)
    name, spec = pipeline.metadata.name, pipeline.spec
    builder = _Builder(name)
    placed = _placed(spec.steps, compiled)
    _put_request(builder, pipeline, placed)
    for index, step in enumerate(spec.steps):
        role = Role.STEP if _required(compiled, step.name) else Role.SIDE
        key = step.name if step.name not in builder.nodes else f"{step.name} #{index + 1}"
        _put_join(builder, key, step_fields(name, index, step), role)
        builder.add_rows(key, _extras(step, placed.get(str(index))))
    if spec.output and spec.output.steps:
        fields = output_fields(name, spec.output)
        _put_join(builder, ANSWER, fields, Role.ANSWER)
    else:
        builder.put(PictureNode(ANSWER, "answer", Role.ANSWER))
    builder.add_rows(ANSWER, placed.get("output", []))
    for mismatch in pipeline.status.mismatches:
        _put_mismatch(builder, mismatch)
    builder.unknown([source for source, _, _ in builder.edges])
    if others and compiled.plan:
        _put_followers(builder, {**others, name: compiled.plan})
    edges = tuple(PictureEdge(*ends, tuple(labels)) for ends, labels in builder.edges.items())
    return GraphPicture(name, tuple(builder.nodes.values()), edges, tuple(placed.get("", [])))


def tensor_text(topic: Topic, tensor: str, pipeline: str) -> str:
    """Returns a reference as rows and reasons have it: `a.x`, `a.inputs.x`, `request.x`.

    `pipeline`: the reader's; a reference into another one begins with its name.
    """
    of_pipeline, inputs = topic.owner == topic.pipeline, topic.side == "inputs"
    if topic.pipeline == pipeline:
        owner = ("request" if inputs else "answer") if of_pipeline else topic.owner
        parts = [owner, "inputs" if inputs and not of_pipeline else ""]
    else:
        parts = [topic.pipeline, "" if of_pipeline else topic.owner, "inputs" if inputs else ""]
    return ".".join(_short(part) for part in (*parts, tensor) if part)


def _required(compiled: Compiled, step: str) -> bool:
    return compiled.plan is None or compiled.plan.steps[step].required


def _placed(steps: Sequence[Step], compiled: Compiled) -> dict[str, list[PictureRow]]:
    """Returns the problems by their place: the index of a step, `output`, `input`, or empty for the graph."""
    found: dict[str, list[PictureRow]] = {}
    for problem in (*compiled.errors, *compiled.warnings):
        tone = Tone.MISTAKE if problem in compiled.errors else Tone.WARNING
        found.setdefault(_place(problem, len(steps)), []).append(PictureRow(_said(problem, steps), tone))
    return found


def _place(problem: Problem, steps: int) -> str:
    step = _STEP.match(problem.path)
    if step:
        return step[1] if int(step[1]) < steps else ""
    return next((name for name in ("output", "input") if problem.path.startswith(f"spec.{name}")), "")


def _said(problem: Problem, steps: Sequence[Step]) -> str:
    """Returns the sentence without the name of the step, in whose box it stands."""
    text = problem.message
    step = _STEP.match(problem.path)
    if step and int(step[1]) < len(steps):
        text = text.removeprefix(f'step "{steps[int(step[1])].name}": ')
    text = text.removeprefix("the output: ").removeprefix("the input: ")
    return shown(text if problem.reason != NO_EFFECT or " " in text else f"{problem.path}: {text}", 400)


def _put_request(builder: _Builder, pipeline: Pipeline, placed: Mapping[str, list[PictureRow]]) -> None:
    rows, mistakes = [], placed.get("input", [])
    external = pipeline.spec.input
    broken = any(row.tone is Tone.MISTAKE for row in mistakes)
    if external is not None and not broken:
        fields = external_fields(external)
        rows = _rows(builder.name, fields)
        for topic, trigger in _topics(fields):
            key = f"pipeline {topic.pipeline}"
            if key not in builder.nodes:
                builder.put(PictureNode(key, _short(topic.pipeline), Role.OTHER))
            builder.edge(key, REQUEST, "", trigger=trigger)
    builder.put(PictureNode(REQUEST, "request", Role.REQUEST, (*rows, *mistakes)))


def _put_join(builder: _Builder, key: str, fields: JoinFields, role: Role) -> None:
    for each, trigger in (
        *((reference, False) for reference in fields.references),
        *((reference, True) for reference in fields.triggers),
    ):
        source = _node_of(each.topic)
        builder.edge(source, key, _renamed(each, fields), trigger=trigger)
    title = "answer" if key == ANSWER else _short(key)
    sources, triggers = len({each.key for each in fields.references}), len(fields.triggers)
    builder.put(
        PictureNode(
            key,
            title,
            role,
            tuple(_rows(builder.name, fields)),
            join=fields.kind if sources > 1 else "",
            triggers=fields.triggers_kind if triggers > 1 else "",
        )
    )


def _rows(pipeline: str, fields: JoinFields) -> list[PictureRow]:
    """Returns a row for each topic of the data, with its tensors and their new names, then the triggers."""
    by_topic: dict[Topic, list[DataReference]] = {}
    for each in fields.references:
        by_topic.setdefault(each.topic, []).append(each)
    rows = []
    for topic, references in by_topic.items():
        texts = list(dict.fromkeys(text for each in references for text in _taken(each, fields, pipeline)))
        bare = texts == [tensor_text(topic, "", pipeline)] and not _inside_of_step(topic)
        tensors = tuple(each.tensor for each in references)
        wanted = () if "" in tensors else tensors
        rows.append(PictureRow(", ".join(texts), source=topic, tensors=wanted, quiet=bare))
    for each in fields.triggers:
        text = f"if {tensor_text(each.topic, each.tensor, pipeline)}"
        wanted = (each.tensor,) if each.tensor else ()
        rows.append(PictureRow(text, source=each.topic, tensors=wanted, trigger=True))
    return rows


def _inside_of_step(topic: Topic) -> bool:
    return topic.side == "inputs" and topic.owner != topic.pipeline


def _taken(reference: DataReference, fields: JoinFields, pipeline: str) -> Iterator[str]:
    """Yields the tensors that a reference takes, as they are written; the renamed ones of a whole topic."""
    owner = tensor_text(reference.topic, "", pipeline)
    if reference.tensor:
        yield f"{owner}.{_renamed(reference, fields)}"
        return
    before = f"{reference.key}."
    renames = [
        f"{_short(key.removeprefix(before))}→{_short(new)}"
        for key, new in fields.renames.items()
        if key.startswith(before) and new
    ]
    yield f"{owner}: {', '.join(renames)}" if renames else owner


def _renamed(reference: DataReference, fields: JoinFields) -> str:
    if not reference.tensor:
        return ""
    new = fields.renames.get(f"{reference.key}.{reference.tensor}", "")
    return f"{_short(reference.tensor)}→{_short(new)}" if new else _short(reference.tensor)


def _extras(step: Step, problems: list[PictureRow] | None) -> list[PictureRow]:
    batch = step.batch
    rows = [PictureRow(f"batch of {batch.size} rows")] if batch is not None and batch.size else []
    return [*rows, *(problems or [])]


def _put_mismatch(builder: _Builder, mismatch: EdgeMismatch) -> None:
    """Puts the words about an edge behind the row of its data; nowhere where the step is gone meanwhile."""
    node = builder.nodes.get(mismatch.step or ANSWER)
    if node is None:
        return
    rows = list(node.rows)
    sources = [f"{row.source.owner}.{row.source.side}" if row.source else None for row in rows]
    place = len(rows)
    if mismatch.source in sources:
        place = sources.index(mismatch.source) + 1
        rows[place - 1] = replace(rows[place - 1], quiet=False)
    rows.insert(place, PictureRow(shown(mismatch.message, 400), Tone.WARNING))
    builder.put(replace(node, rows=tuple(rows)))


def _topics(fields: JoinFields) -> Iterator[tuple[Topic, bool]]:
    yield from ((each.topic, False) for each in fields.references)
    yield from ((each.topic, True) for each in fields.triggers)


def _put_followers(builder: _Builder, plans: Mapping[str, PipelinePlan]) -> None:
    index = FollowerIndex(plans)
    for topic in sorted(index.watched(builder.name)):
        for follower in index.readers(topic):
            key = f"follower {follower}"
            if key not in builder.nodes:
                builder.put(PictureNode(key, _short(follower), Role.FOLLOWER))
            builder.edge(_node_of(topic), key, "inputs" if topic.side == "inputs" else "", trigger=False)


def _node_of(topic: Topic) -> str:
    """Returns the key of the node whose data a topic is."""
    if topic.owner != topic.pipeline:
        return topic.owner
    return REQUEST if topic.side == "inputs" else ANSWER


def _short(name: str) -> str:
    return shown(name, _LONGEST_NAME)
