"""The plan of a pipeline: the joins of its steps, their order, and the readers of each topic.

Made by `compilation`, run by `flow`. A plan is shared by all requests and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.api.pipeline import Join

JOIN_WINDOW_MS = 60_000
"""How long a join waits where the manifest says nothing, as in Seldon Core."""

DataSide = Literal["inputs", "outputs"]


class Topic(NamedTuple):
    """One stream of data: the inputs or outputs of a step, or of a pipeline (`owner` is its own name)."""

    pipeline: str
    owner: str
    side: DataSide


@dataclass(frozen=True, slots=True)
class Source:
    """The tensors that a step takes from one topic."""

    topic: Topic
    tensors: tuple[str, ...] = ()
    """Names of the tensors; all tensors when empty."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """New names, by the original name."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Several sources, and which of them must be there."""

    kind: Join = "inner"
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step; also the output of a pipeline and its external inputs, which are joins without a model."""

    name: str
    data: Joined
    triggers: Joined = Joined()
    """Sources that must be there without being passed on; none when empty."""
    window_ms: int = JOIN_WINDOW_MS
    """How long the sources wait for each other, in milliseconds from the first that is present."""
    batch_rows: int = 0
    """Rows that are collected from several requests before the step is called; 0 for none."""
    batch_window_ms: int = 0
    """After how many milliseconds a batch that is not full is sent; 0 for never."""
    required: bool = True
    """Whether the answer needs the step, so that its failure fails the request."""
    repeats: bool = False
    """Whether the step is in a cycle or behind one, and is called for each arrival."""
    sources: tuple[Source, ...] = field(init=False)
    """Those of its data, then those of its triggers."""
    places: Mapping[Topic, tuple[int, ...]] = field(init=False, compare=False)
    """The indices of the sources that read each topic."""

    def __post_init__(self) -> None:
        sources = (*self.data.sources, *self.triggers.sources)
        places: dict[Topic, list[int]] = {}
        for index, each in enumerate(sources):
            places.setdefault(each.topic, []).append(index)
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "places", {topic: tuple(found) for topic, found in places.items()})

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics of its data and triggers, each once."""
        return tuple(self.places)


@dataclass(frozen=True, slots=True)
class StepGroup:
    """A step alone, or the steps of a cycle."""

    steps: tuple[str, ...]
    cycle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePlan:
    """One version of a pipeline, compiled."""

    name: str
    steps: Mapping[str, StepPlan]
    groups: tuple[StepGroup, ...]
    """The steps in the order of their data: no group reads from a later one."""
    output: StepPlan | None
    """The join that is the answer, named as the pipeline; None for a pipeline without output."""
    external: StepPlan | None = None
    """The join of other pipelines' data that becomes this pipeline's inputs, named as the pipeline."""
    most_visits: int = 1
    """How often a request may be at one step."""
    readers: Mapping[Topic, tuple[str, ...]]
    """The steps, and the pipeline's name for its output, that read each topic."""
    group_of: Mapping[str, int]
    """The index of each step's group."""
    inputs: Mapping[str, Topic] = field(init=False, compare=False)
    """The topic of each step's inputs, and under the pipeline's name that of the request."""
    outputs: Mapping[str, Topic] = field(init=False, compare=False)
    """The topic of each step's outputs, and under the pipeline's name that of the answer."""

    def __post_init__(self) -> None:
        owners = (*self.steps, self.name)
        object.__setattr__(self, "inputs", {each: Topic(self.name, each, "inputs") for each in owners})
        object.__setattr__(self, "outputs", {each: Topic(self.name, each, "outputs") for each in owners})

    @property
    def request(self) -> Topic:
        """The topic of the request."""
        return self.inputs[self.name]

    @property
    def answer(self) -> Topic:
        """The topic of the answer."""
        return self.outputs[self.name]
