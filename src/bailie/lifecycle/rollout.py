"""Which version of a model answers, and where: the whole of the rolling update in one decision.

Called by the scheduler for each model after placement. The wanted version takes over when it is loaded on
every replica planned for it; until then the version that answered goes on answering. A version that is not
chosen here takes no traffic, and the engine unloads it when the plan has no place for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A version that is in memory somewhere: its identity, its number, and the replicas that have it."""

    identity: str
    number: int
    replicas: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The version that answers, and where. `took_over`: it is the wanted version, on all planned replicas."""

    identity: str
    number: int
    replicas: frozenset[str]
    took_over: bool


def choose(
    candidates: tuple[Candidate, ...], *, target: str, planned: frozenset[str], answering: str = ""
) -> Choice | None:
    """Decides which version answers for a model.

    Args:
        candidates: the versions that are loaded somewhere, each once.
        target: identity of the wanted version.
        planned: the replicas that placement chose for the wanted version; empty where it found none.
        answering: identity of the version that has the route now, empty where none has or it is not known.

    Returns:
        The choice, or None where no version is loaded.
    """
    loaded = {each.identity: each for each in candidates if each.replicas}
    wanted = loaded.get(target)
    if wanted and planned and planned <= wanted.replicas:
        return _chosen(wanted, planned, took_over=True)
    # From here on the wanted version is not complete. It answers only where it answered before or no other
    # version can: half a roll-out must not take replicas away from callers.
    others = sorted((each for each in loaded.values() if each is not wanted), key=lambda each: -each.number)
    if wanted and (answering == target or not others):
        return _chosen(wanted, wanted.replicas, took_over=False)
    going_on = loaded.get(answering, others[0] if others else None)
    return _chosen(going_on, going_on.replicas, took_over=False) if going_on else None


def _chosen(candidate: Candidate, replicas: frozenset[str], *, took_over: bool) -> Choice:
    return Choice(
        identity=candidate.identity, number=candidate.number, replicas=replicas, took_over=took_over
    )


def number_for(generation: int, taken: frozenset[int]) -> int:
    """Returns the number by which the inference server knows a new version (`iris_<number>`).

    It is the Model's generation, or the next above all of `taken` where these have the generation already.
    """
    return generation if generation not in taken else max(taken) + 1
