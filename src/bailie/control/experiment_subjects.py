"""Experiments as subjects: the weights by which callers reach the copies of several Models, or Pipelines.

A row in the table of `kinds`, after the Models and Pipelines. An Experiment remembers nothing but how far its
delivery is, if it is one (`deliveries`): a candidate that does not answer is left out, and its share goes to
the others, from the first pass of any leader.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE
from bailie.api.names import EXPERIMENT_ENDING
from bailie.control.deliveries import AnsweringVersion, Deliveries
from bailie.control.route_entries import asked_copies
from bailie.control.subjects import Contribution, Subject, put, take_out
from bailie.control.wanted_experiments import WantedExperiment, parse_experiment, unread_experiment
from bailie.control.wanted_objects import WantedObjects
from bailie.lifecycle.conditions import rolled_out
from bailie.lifecycle.experiments import (
    DEFAULT_TAKEN,
    NO_CANDIDATE,
    ExperimentFacts,
    Refused,
    TargetState,
    absent_target,
    target_of,
)
from bailie.lifecycle.pipelines import pipeline_ready
from bailie.routing.table import NotReady

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.load_failures import Now
    from bailie.control.object_fence import ObjectFence
    from bailie.control.subjects import FactsByKind, KnownRoutes, Objects, Outcomes


_INDEXED = "index"
"""The step that takes an Experiment over that is new, changed or gone."""


class ExperimentSubjects:
    """Satisfies `subjects.SubjectKind`. `facts` are by name, as of the last `contribute`."""

    kind = EXPERIMENT.kind

    def __init__(self, objects: Objects, routes: KnownRoutes, facts: FactsByKind, fence: ObjectFence) -> None:
        self._objects = objects
        self._fence = fence
        self._routes = routes
        self._facts = facts
        parse = fence.around(parse_experiment, unread_experiment)
        self._experiments: WantedObjects[WantedExperiment] = WantedObjects(parse)
        self._read: dict[str, WantedExperiment] = {}
        """The experiments of which `_by_target` and `_by_default` are made."""
        self._by_target: dict[Subject, set[str]] = defaultdict(set)
        self._by_default: dict[str, set[str]] = defaultdict(set)
        self._owner: dict[str, str] = {}
        """Of each default the oldest experiment, which has its callers."""
        self._deliveries = Deliveries(fence)
        self.facts: dict[str, ExperimentFacts] = {}

    def route_name(self, name: str) -> str:
        """Returns the name by which callers ask for the experiment, whatever its default."""
        return f"{name}{EXPERIMENT_ENDING}"

    def read(self, dirty: set[Subject]) -> Generator[None, None, None]:
        """Takes over the Experiments, as `subjects.SubjectKind` says.

        With an experiment those change that have, or had, the same default.
        """
        changed: set[str] = set()
        yield from self._experiments.read(self._objects(EXPERIMENT), changed)
        defaults: set[str] = set()
        changed |= self._fence.again(_INDEXED, self.kind)
        for name in changed:
            with self._fence.alone(_INDEXED, self.kind, name):
                defaults |= self._index(name)
        concerned = changed.union(*(self._rivals(default) for default in defaults))
        dirty |= {Subject(self.kind, name) for name in concerned}

    def _index(self, name: str) -> set[str]:
        """Takes a changed experiment over into the indexes; returns the defaults that it has or had."""
        before, now = self._read.get(name), self._experiments.wanted.get(name)
        # First: where that raises, the experiment goes on as it was.
        self._deliveries.observe(name, now.delivery if now else None, now.delivery_names if now else None)
        put(self._read, name, now)
        if before:
            take_out(self._by_default, before.default, name)
            for target in before.targets.values():
                take_out(self._by_target, target, name)
        if now:
            self._by_default[now.default].add(name)
            for target in now.targets.values():
                self._by_target[target].add(name)
        return {each.default for each in (before, now) if each and each.default}

    def _rivals(self, default: str) -> set[str]:
        """Returns the experiments of a default, and notes which of them has it."""
        found = self._by_default.get(default, set())
        first = min((self._read[name] for name in found), key=lambda each: each.age, default=None)
        put(self._owner, default, first.name if first else None)
        return found

    def affected(self, dirty: AbstractSet[Subject]) -> Iterable[Subject]:
        """Returns the experiments that name one of the Models or Pipelines in `dirty`."""
        return {Subject(self.kind, name) for each in dirty for name in self._by_target.get(each, ())}

    def contribute(self, name: str, contributions: Mapping[Subject, Contribution]) -> Contribution | None:
        """Returns the experiment's route, as `subjects.SubjectKind` says, and notes its facts."""
        wanted = self._read.get(name)
        if wanted is None:
            self.facts.pop(name, None)
            return None
        refused = wanted.refused or self._taken(wanted)
        behind = _behind(wanted, contributions)
        # Made once: each of the two is a dictionary of all candidates.
        named, asked = wanted.targets, wanted.weights
        targets = {name: self._state(target, answers=name in behind) for name, target in named.items()}
        weights = self._weights(wanted, behind, contributions)
        found = None if refused or wanted.deleting else _contribution(wanted, weights, behind)
        mirrors = [name for name in named if name not in asked]
        self.facts[name] = ExperimentFacts(
            uid=wanted.uid,
            generation=wanted.generation,
            deleted=wanted.deleting,
            finalizers=wanted.finalizers,
            refused=refused,
            warnings=wanted.warnings,
            candidates=tuple(targets[name] for name in asked),
            mirror=targets[mirrors[0]] if mirrors else None,
            shares=tuple((named[name].name, share) for name, share in found.weights.items()) if found else (),
            has_default=bool(wanted.default),
            routed=found is not None and self._routes.has_identity(Subject(self.kind, name), found.identity),
            refusal=self._routes.refusal,
            elsewhere=self._routes.mesh if found is None or found.partial else "",
            delivery=None if refused else self._deliveries.facts(name),
        )
        if found or wanted.deleting:
            return found
        reason, text = NO_CANDIDATE, "none of its candidates answers"
        if refused:
            reason, text = refused.reason, refused.for_callers
        return Contribution(otherwise=NotReady(reason, text, f"experiment {name}"))

    @property
    def watched(self) -> Iterable[str]:
        """The routes of deliveries that are under way, as `subjects.JudgedKind` says."""
        return self._deliveries.routes

    def judge(self, now: Now, outcomes: Outcomes | None) -> Iterable[Subject]:
        """Takes deliveries on, as `subjects.JudgedKind` says."""
        return {Subject(self.kind, name) for name in self._deliveries.judge(now, outcomes)}

    def _weights(
        self,
        wanted: WantedExperiment,
        behind: Mapping[str, Contribution],
        contributions: Mapping[Subject, Contribution],
    ) -> Mapping[str, int]:
        """Returns the weights in effect: those of the delivery, or of the spec."""
        names = wanted.delivery_names
        if names is None:
            return wanted.weights
        if taken := self._taken(wanted):
            self._deliveries.meet(wanted.name, None, taken.message, None)
            return wanted.weights
        absent = [each for each in (names.candidate, names.default) if each not in behind]
        found = behind.get(names.candidate)
        version = AnsweringVersion(found.identity, asked_copies(found)[0].id.name) if found else None
        text = f"{' and '.join(absent)} {'does' if len(absent) == 1 else 'do'} not answer" if absent else ""
        asked = contributions.get(Subject(MODEL.kind, names.candidate))
        newest = asked.newest if asked else None
        return self._deliveries.meet(wanted.name, version, text, newest) or wanted.weights

    def _state(self, target: Subject, *, answers: bool) -> TargetState:
        """Returns the state of a Model or Pipeline that an experiment names."""
        known = self._facts.get(target.kind, {}).get(target.name)
        if known is None or known.deleted:
            return absent_target(target.kind, target.name, deleted=known is not None)
        newest = pipeline_ready(known) if target.kind == PIPELINE.kind else rolled_out(known)
        return target_of(target.name, newest, answers=answers)

    def _taken(self, wanted: WantedExperiment) -> Refused | None:
        """Returns why the default cannot be the experiment's: an older experiment has it."""
        owner = self._owner.get(wanted.default, wanted.name)
        if owner == wanted.name:
            return None
        shown = wanted.targets[wanted.default].name
        text = (
            f'spec.default: the older experiment "{owner}" has the default "{shown}" already:'
            " delete that one, or give one of them another default"
        )
        return Refused(DEFAULT_TAKEN, text, "another experiment has its default")


def _behind(
    wanted: WantedExperiment, contributions: Mapping[Subject, Contribution]
) -> dict[str, Contribution]:
    """Returns the routes of the names that the experiment has, of those that have copies to ask.

    Copies belong to Models, among which the versions of Pipelines are.
    """
    found = {name: contributions.get(Subject(MODEL.kind, name)) for name in wanted.targets}
    return {name: each for name, each in found.items() if each and asked_copies(each)}


def _contribution(
    wanted: WantedExperiment, weights: Mapping[str, int], behind: Mapping[str, Contribution]
) -> Contribution | None:
    """Returns the shares of the candidates that can be asked; None where none with a weight can."""
    shares = {model: weight for model, weight in weights.items() if model in behind}
    if not any(shares.values()):
        return None
    mirror = wanted.mirror if wanted.mirror and wanted.mirror.model in behind else None
    return Contribution(
        copies=tuple(copy for model in shares for copy in behind[model].copies),
        identity=f"{sorted(shares.items())} {mirror} {wanted.default}",
        otherwise=NotReady(NO_CANDIDATE, "none of its candidates answers", f"experiment {wanted.name}"),
        weights=shares,
        takes_over=wanted.default,
        partial=any(weight and model not in shares for model, weight in weights.items()),
        sticky=True,
        mirror=mirror,
        payload_logs={name: log for model in shares for name, log in behind[model].payload_logs.items()},
    )
