"""The Models that leave memory after a time without a request, and come back with the next one.

Used by `model_subjects`, which hands in Models as they change, and every few seconds the samples. The agents
do the rest, as where memory is short: they announce the eviction, wait until no request comes past them, and
load the model again for the first request that does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.scaling import IdleFacts
from bailie.scaling.idle import IdleClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.control.fleet import ModelCopy
    from bailie.control.object_fence import ObjectFence
    from bailie.control.scaling_rules import IdleRules
    from bailie.control.wanted_models import WantedModel
    from bailie.scaling import Sample

AGAIN_SECONDS = 10.0
"""Time until an agent that did nothing is told once more."""


@dataclass(slots=True)
class _Idle:
    uid: str
    rules: IdleRules
    clock: IdleClock
    slept: bool = False
    """Whether no copy was in memory at the last request, as far as is known."""
    woken: bool = False
    """Whether a copy has come back since."""
    told_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class MemoryOrders:
    """The copies that may leave memory, because nobody asks for them, and those that are to come back."""

    idle: list[ModelCopy] = field(default_factory=list)
    awaited: list[ModelCopy] = field(default_factory=list)


class IdleModels:
    """The Models with the annotation, by name."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._now = 0.0
        self._idle: dict[str, _Idle] = {}
        self._refused: dict[str, IdleFacts] = {}

    @property
    def names(self) -> Iterable[str]:
        """The names of the Models whose requests must be known."""
        return self._idle.keys()

    def observe(self, name: str, wanted: WantedModel | None) -> None:
        """Takes over a Model that is new, changed or gone."""
        rules = wanted.idle if wanted and not wanted.deleting else None
        before = self._idle.pop(name, None)
        self._refused.pop(name, None)
        if wanted is None or rules is None:
            return
        if rules.refused is not None:
            self._refused[name] = IdleFacts(active=False, reason=rules.refused[0], text=rules.refused[1])
        elif before is not None and before.uid == wanted.uid:
            before.rules = rules
            self._idle[name] = before
        else:
            self._idle[name] = _Idle(wanted.uid, rules, IdleClock(self._now))

    def decide(
        self,
        now: float,
        samples: Mapping[str, Sample],
        copies: Callable[[str], Iterable[ModelCopy]],
        may_wait: Callable[[ModelCopy], bool],
    ) -> MemoryOrders:
        """Returns the copies that agents are to be told of.

        A Model without a sample was not measured. `may_wait` says whether the agent of a copy keeps requests
        while it loads.
        """
        self._now = now
        orders = MemoryOrders()
        for name, each in self._idle.items():
            with self._fence.alone("idle time", MODEL.kind, name):
                if each.clock.take(now, samples.get(name), woken=each.woken):
                    if each.slept:
                        # All of them: the one that the request woke would else have all requests for itself.
                        orders.awaited.extend(_in(CopyState.EVICTED, copies(name)))
                    each.slept = each.woken = False
                elif each.clock.idle(now) >= each.rules.seconds and now - each.told_at >= AGAIN_SECONDS:
                    orders.idle.extend(filter(may_wait, _in(CopyState.LOADED, copies(name))))
                    each.told_at = now
        return orders

    def used_at(self, name: str) -> float | None:
        """Returns the monotonic time of the last request as far as is known; None for a Model that stays in
        memory."""
        each = self._idle.get(name)
        return each.clock.used_at if each else None

    def sleeps(self, name: str, copies: Iterable[ModelCopy]) -> bool:
        """Says whether a Model may sleep and is out of memory wherever it is.

        A Model without a copy was not loaded yet, or cannot be.
        """
        states = {each.state for each in copies}
        return name in self._idle and states == {CopyState.EVICTED}

    def facts(self, name: str, copies: Iterable[ModelCopy], held: bool) -> IdleFacts | None:
        """Returns what the status says of it; None for a Model that stays in memory.

        `held`: the agents keep requests. To be asked whenever a copy has changed.
        """
        each = self._idle.get(name)
        if each is None:
            return self._refused.get(name)
        found = [copy.state for copy in copies if copy.state.serves]
        if found and all(state is CopyState.EVICTED for state in found):
            each.slept, each.woken = True, False
            text = f"not in memory, for nobody has asked for {each.rules.text}; the next request loads it"
            return IdleFacts(active=True, reason="Asleep", text=text)
        each.woken = each.slept and CopyState.LOADED in found
        if not held:
            text = "the model's agent keeps no requests: it is of an earlier version, or its ports are taken"
            return IdleFacts(active=False, reason="RequestsNotKept", text=text)
        text = f"leaves memory after {each.rules.text} without a request"
        return IdleFacts(active=True, reason="InMemory", text=text)


def _in(state: CopyState, copies: Iterable[ModelCopy]) -> list[ModelCopy]:
    return [copy for copy in copies if copy.state is state]
