"""All findings of a plan, the blockers first. Pure; called by `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.migration.checks import (
    beginnings,
    broker,
    cluster,
    network,
    operators,
    ownership,
    place,
    pods,
    resources,
    room,
)
from bailie.migration.finding import Impact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bailie.migration.facts import MoveFacts
    from bailie.migration.finding import PlanFinding
    from bailie.migration.source import MoveSource

CHECKS: tuple[Callable[[MoveFacts, MoveSource], Iterator[PlanFinding]], ...] = (
    place.existence,
    cluster.version,
    cluster.definitions,
    cluster.rights,
    operators.own_operator,
    operators.claims,
    operators.foreign,
    network.scheduler_redirect,
    network.central_consent,
    network.mesh,
    place.taken_names,
    place.records,
    ownership.gitops,
    ownership.releases,
    resources.runtimes,
    resources.left_out,
    resources.contents,
    resources.server_names,
    resources.references,
    resources.without_gateway,
    broker.topics,
    resources.deletions,
    pods.deployments,
    pods.images,
    pods.agents,
    pods.templates,
    pods.strays,
    room.machines,
    room.quotas,
    room.budgets,
    room.autoscalers,
    resources.readiness,
    beginnings.traces,
    beginnings.scaling,
    beginnings.annotated,
    resources.without_effect,
)
"""In the order in which a person would mend what they find."""


def examine_move(facts: MoveFacts, source: MoveSource) -> tuple[PlanFinding, ...]:
    """Returns the findings: blockers before advice, each in the order of the checks."""
    found = [finding for check in CHECKS for finding in check(facts, source)]
    return tuple(sorted(found, key=lambda finding: finding.impact is not Impact.BLOCKER))
