"""The time for which models do not answer when a move goes back after pods of before have ended. Pure.

Asked by `seldon_steps` for the words of a step, by `plan`, and by `executor` before a way back. Seldon Core's
agents load nothing before its scheduler and its operator have the namespace again, and both use names of
objects that are Bailie's until then: so a Server without pods of before has neither copy meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.migration.errors import Blocked
from bailie.migration.seldon.one_by_one import models_on, without_pods
from bailie.migration.serving import folded

if TYPE_CHECKING:
    from bailie.migration.facts import MoveFacts
    from bailie.migration.record import MoveRecord

HAND_OVER_SECONDS = 30
"""For a scheduler's pod to start and to take over."""
PER_SERVER_SECONDS = 60
PER_MODEL_SECONDS = 5


def seconds_for(servers: int, models: int) -> int:
    """Returns roughly the seconds until so many servers have started and loaded their models."""
    return HAND_OVER_SECONDS + servers * PER_SERVER_SECONDS + models * PER_MODEL_SECONDS


def interruption_of(record: MoveRecord, servers: tuple[str, ...]) -> int:
    """Returns roughly for how many seconds the models of some Servers do not answer on the way back."""
    return seconds_for(len(servers), len(models_on(record, servers)))


def refuse_interruption(facts: MoveFacts, record: MoveRecord) -> None:
    """Raises Blocked where a way back would stop models that answer now."""
    servers = without_pods(facts, record)
    if not servers:
        return
    models = models_on(record, servers)
    raise Blocked(
        f"Seldon Core has no pods of Server {', '.join(servers)} any more: on the way back their models do "
        f"not answer for about {interruption_of(record, servers)} s, until its operator has made the pods "
        f"again and they have loaded them ({folded(models)})",
        hint=f"`bailie migrate apply {record.namespace}` goes on without an interruption; "
        f"`bailie migrate rollback {record.namespace} --with-interruption` goes back all the same",
    )
