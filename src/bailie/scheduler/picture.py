"""What one pass of the engine knows, as values handed from step to step and on to whoever reports.

Made by the engine; read by `facts`, `statuses` and the health endpoint. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.placement import Plan, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.lifecycle.conditions import ModelFacts
    from bailie.lifecycle.rollout import Choice
    from bailie.scheduler.catalogue import Wanted
    from bailie.scheduler.fleet import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is wanted, what stands where (by model, one per version and replica), and the plan."""

    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=Snapshot)
    plan: Plan = field(default_factory=Plan)
    standings: Mapping[str, tuple[Standing, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The version that answers for a model, and the standings behind it."""

    choice: Choice
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The result of one pass. `facts` has every Model of `view.wanted`.

    `looked_at` are the models that may differ from the picture before, gone ones among them. `settling`: the
    data planes have not come to this leader yet, so what they have of the leader before is not known to end.
    """

    view: View = field(default_factory=View)
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)
    looked_at: frozenset[str] = frozenset()
    settling: bool = False
