"""The edges of a pipeline's graph against the signatures of its steps' models.

Called by `control.pipeline_subjects`, with each change of a model that answers for a step. A finding is a
warning: servers often take tensors of other names, and a model may give only some of its outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bailie.api.texts import abridged
from bailie.lifecycle.signature import Mismatch, SignatureFindings, tensor_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bailie.dataflow.plan import DataSide, PipelinePlan, Source, StepPlan
    from bailie.lifecycle.signature import Signature, TensorMetadata

    Signatures = Mapping[str, Signature | None]
    """By the name of a step; None, as no entry, where no signature is known."""
    Tensors = Mapping[str, TensorMetadata]

MOST_MISMATCHES = 20
"""Of one pipeline that are kept; further ones are counted."""
_MOST_NAMED = 5


class ModelEdge(NamedTuple):
    """The tensors that a step takes from a model; all of them without `tensors`. `renames`: old and new."""

    owner: str
    side: DataSide
    tensors: tuple[str, ...]
    renames: tuple[tuple[str, str], ...]
    trigger: bool

    @property
    def source(self) -> str:
        """The text of the reference: `a.outputs`."""
        return f"{self.owner}.{self.side}"


@dataclass(frozen=True, slots=True)
class ModelEdges:
    """The edges from models to one step, or to the answer, for which `step` is empty.

    `whole`: the step gets the data of all of these edges, and of no others.
    """

    step: str
    edges: tuple[ModelEdge, ...]
    whole: bool


def model_edges(plan: PipelinePlan) -> tuple[ModelEdges, ...]:
    """Returns the edges of a plan that begin at a model, for signatures say nothing of the request."""
    found = [_edges_of(plan, name, step) for name, step in plan.steps.items()]
    if plan.output is not None:
        found.append(_edges_of(plan, "", plan.output))
    return tuple(each for each in found if each.edges)


def _edges_of(plan: PipelinePlan, name: str, step: StepPlan) -> ModelEdges:
    data = [_edge(each, trigger=False) for each in step.data.sources if each.topic.owner in plan.steps]
    triggers = [_edge(each, trigger=True) for each in step.triggers.sources if each.topic.owner in plan.steps]
    # The answer takes whatever there is, so that only tensors with a name can be missing from it.
    edges = [each for each in (*data, *triggers) if each.tensors or (name and not each.trigger)]
    whole = step.data.kind == "inner" and len(data) == len(step.data.sources)
    return ModelEdges(name, tuple(edges), whole)


def _edge(source: Source, *, trigger: bool) -> ModelEdge:
    renames = tuple(source.renames.items())
    return ModelEdge(source.topic.owner, source.topic.side, source.tensors, renames, trigger)


def compare_edges(joins: Iterable[ModelEdges], signatures: Signatures) -> SignatureFindings:
    """Returns where the two ends of an edge differ, and the steps that nothing is known of."""
    found = _Comparison(signatures)
    for each in joins:
        found.look_at(each)
    return SignatureFindings(
        edges=found.edges,
        count=found.count,
        mismatches=tuple(found.mismatches),
        silent=tuple(found.silent),
    )


@dataclass(slots=True)
class _Comparison:
    """The findings so far. Words are made of those alone that are kept: a pass waits for the comparison."""

    signatures: Signatures
    edges: int = 0
    count: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    silent: dict[str, None] = field(default_factory=dict)
    by_side: dict[tuple[str, DataSide], Tensors] = field(default_factory=dict)

    def look_at(self, join: ModelEdges) -> None:
        """Compares the edges of one step."""
        takes_data = bool(join.step) and any(not each.trigger for each in join.edges)
        takes = self._tensors(join.step, "inputs") if takes_data else None
        known, named = True, set[str]()
        for edge in join.edges:
            self.edges += 1
            gives = self._tensors(edge.owner, edge.side)
            if gives is None:
                known = False
                continue
            if not edge.trigger:
                names, new = edge.tensors or gives, dict(edge.renames)
                named.update([new.get(name, name) for name in names] if new else names)
            ends = _Ends(edge, gives, None if edge.trigger else takes)
            for name in ends.differing():
                self._note(join.step, edge.source, partial(ends.words, name))
        if takes is not None and join.whole and known:
            for name in takes:
                if name not in named:
                    self._note(join.step, "", partial(_missing, name))

    def _note(self, step: str, source: str, words: Callable[[], str]) -> None:
        self.count += 1
        if len(self.mismatches) < MOST_MISMATCHES:
            self.mismatches.append(Mismatch(step, source, words()))

    def _tensors(self, step: str, side: DataSide) -> Tensors | None:
        """Returns one side of a model's signature by name; None where the model does not describe it."""
        found = self.by_side.get((step, side))
        if found is None:
            signature = self.signatures.get(step)
            tensors = () if signature is None else signature.inputs if side == "inputs" else signature.outputs
            found = self.by_side[step, side] = {each.name: each for each in tensors}
        if not found:
            self.silent[step] = None
        return found or None


class _Ends(NamedTuple):
    """An edge, and the tensors at both of its ends; `takes` is None where none are known of its reader."""

    edge: ModelEdge
    gives: Tensors
    takes: Tensors | None

    def differing(self) -> Iterator[str]:
        """Yields the names, as the edge's owner has them, of the tensors by which both ends differ."""
        new_names, takes = dict(self.edge.renames), self.takes
        for name in self.edge.tensors or self.gives:
            given = self.gives.get(name)
            taken = takes.get(new_names.get(name, name)) if takes is not None else None
            if given is None or (takes is not None and (taken is None or not taken.fits(given))):
                yield name

    def words(self, name: str) -> str:
        """Returns the sentence about a tensor that differs."""
        owner, new = tensor_name(self.edge.owner), dict(self.edge.renames).get(name, name)
        given, takes = self.gives.get(name), self.takes or {}
        if given is None:
            return f"{owner} has no {tensor_name(name)} among its {self.edge.side} {_named(self.gives)}"
        taken = takes.get(new)
        if taken is None:
            return f"it takes no {tensor_name(new)}, which {owner} gives; its inputs are {_named(takes)}"
        as_name = "" if new == name else f" as {tensor_name(name)}"
        return f"its {tensor_name(new)} is {taken.form}, and {owner} gives {given.form}{as_name}"


def _missing(name: str) -> str:
    return f"no source gives its input {tensor_name(name)}"


def _named(tensors: Tensors) -> str:
    return abridged([tensor_name(each) for each in tensors], _MOST_NAMED)
