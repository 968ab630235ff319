"""The result of one pass of the engine, as values.

Made by the engine; read by the status writers, the metrics and the health endpoint. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL
from bailie.control.awaited_servers import ServerWaits
from bailie.placement import Plan, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.api.collector import Collector
    from bailie.api.kinds import Kind
    from bailie.control.fallback import FallbackNames
    from bailie.control.fleet import ModelCopy
    from bailie.control.scaled_servers import ServerScalingFacts
    from bailie.control.subjects import Contribution, Subject, SubjectFacts
    from bailie.control.wanted_models import WantedModel
    from bailie.lifecycle.conditions import ModelFacts
    from bailie.scaling import Decision, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """The result of one pass.

    `wanted` are the Models by name, `copies` the copies of each (one per version and replica), and `facts`
    has every Model of `wanted`; `further` has the facts of the subjects of other kinds, by kind and name.
    `contributions` has the part of each subject in the routing table, `remotes_problems` the words of agents
    about the configured remotes, by Server. `runtime` is the name of the SeldonRuntime that counts, empty for
    none, and `collector` gets the namespace's traces. `looked_at` are the subjects that may differ from the
    result before, deleted subjects among them. `settling`: the data planes have not come to this leader yet,
    so they may still have routes of the leader before. `fallback` has the names that another mesh answers
    for; `scaling` has the newest decision on each Model whose replicas follow its load, `server_scaling` that
    on each Server whose replicas follow its models. `waiting`: the Models that wait for Servers that may
    sleep.
    """

    wanted: Mapping[str, WantedModel] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=Snapshot)
    plan: Plan = field(default_factory=Plan)
    copies: Mapping[str, tuple[ModelCopy, ...]] = field(default_factory=dict)
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)
    further: Mapping[str, Mapping[str, SubjectFacts]] = field(default_factory=dict)
    contributions: Mapping[Subject, Contribution] = field(default_factory=dict)
    remotes_problems: Mapping[str, str] = field(default_factory=dict)
    looked_at: frozenset[Subject] = frozenset()
    runtime: str = ""
    collector: Collector | None = None
    settling: bool = False
    fallback: FallbackNames | None = None
    scaling: Mapping[str, Decision[Reason]] = field(default_factory=dict)
    server_scaling: Mapping[str, ServerScalingFacts] = field(default_factory=dict)
    waiting: ServerWaits = field(default_factory=ServerWaits)

    def facts_of(self, kind: Kind) -> Mapping[str, SubjectFacts]:
        """Returns what the status of each subject of a kind is made from, by name."""
        return self.facts if kind is MODEL else self.further.get(kind.kind, {})

    def looked_at_of(self, kind: Kind) -> Iterator[str]:
        """Yields the names of the subjects of a kind that may differ from the result before."""
        return (each.name for each in self.looked_at if each.kind == kind.kind)
