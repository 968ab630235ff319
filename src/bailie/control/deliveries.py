"""The deliveries of a namespace: each Experiment whose weights follow the candidate's answers.

Used by `experiment_subjects`, which hands in Experiments as they change, says in each pass which version of a
candidate answers, and every second the requests that were counted. The weights in effect live in the
Experiment's status, so a new leader goes on from there; `spec` stays the user's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bailie.api.kinds import EXPERIMENT
from bailie.control.delivery_facts import facts_before, facts_of_delivery
from bailie.control.delivery_rules import hand_of
from bailie.delivery import Delivery, DeliveryPhase, DeliveryState
from bailie.delivery.progress import Hand
from bailie.routing.requests import RequestOutcomes
from bailie.wellknown.versions import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.control.delivery_rules import DeliveryNames, WantedDelivery
    from bailie.control.load_failures import Now
    from bailie.control.object_fence import ObjectFence
    from bailie.control.subjects import Outcomes
    from bailie.lifecycle.delivery import DeliveryFacts

TELL_SECONDS = 5.0
"""Least time between two statuses that differ in their figures alone."""
MOST_TOLD = 5
"""Such statuses a second of all deliveries together; where these are many, each is told more seldom."""


@dataclass(frozen=True, slots=True)
class AnsweringVersion:
    """The version of a candidate that answers: its identity, and its name on the servers (`iris_3`)."""

    identity: str
    name: str


@dataclass(slots=True)
class _Known:
    wanted: WantedDelivery
    names: DeliveryNames
    heard: str = ""
    """The word that was there before the spec, which is no word about it; empty for none."""
    delivery: Delivery | None = None
    version: AnsweringVersion | None = None
    newest: str | None = None
    """The identity of the version that the candidate's spec asks for; None where there is no candidate."""
    absent: str = ""
    counted: dict[tuple[str, str], RequestOutcomes] | None = None
    told: DeliveryFacts | None = None
    told_of: tuple[object, ...] = ()
    told_at: float = 0.0

    @property
    def under_way(self) -> Delivery | None:
        """The delivery, where it is to be decided on."""
        found = self.delivery
        is_so = found is not None and found.state.phase is DeliveryPhase.UNDER_WAY and not self.wanted.held
        return found if is_so else None

    @property
    def outdated(self) -> bool:
        """Whether the delivery has ended, and a version of the candidate that it did not try is to answer."""
        found = self.delivery
        if found is None or found.state.phase is DeliveryPhase.UNDER_WAY:
            return False
        return self.newest not in {None, found.state.version}

    def mark(self, delivery: Delivery) -> tuple[object, ...]:
        """Returns a value of the delivery that is another one when the status has to be told at once."""
        state = delivery.state
        return state.spec, state.version, state.phase, state.step, state.reason, state.hand, self.outdated


class Deliveries:
    """The deliveries, by Experiment. A pass begins with `judge`."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._known: dict[str, _Known] = {}
        self._today = ""

    @property
    def routes(self) -> Iterator[str]:
        """The names of the routes whose requests have to be counted."""
        return (route for each in self._known.values() if each.under_way for route in each.names.routes)

    def observe(self, name: str, wanted: WantedDelivery | None, names: DeliveryNames | None) -> None:
        """Takes over an Experiment that is new, changed, or gone or no delivery (None)."""
        before = self._known.get(name)
        if wanted is None or names is None:
            self._known.pop(name, None)
        elif before is not None and before.wanted.digest == wanted.digest:
            before.wanted, before.names = wanted, names
        else:
            heard = wanted.hand if before or wanted.told else ""
            known = self._known[name] = _Known(wanted, names, heard)
            if before is None and wanted.told and wanted.told.spec == wanted.digest:
                known.delivery = Delivery(wanted.rules, wanted.told)

    def meet(
        self, name: str, version: AnsweringVersion | None, absent: str, newest: str | None
    ) -> dict[str, int] | None:
        """Returns the weights in effect by Model; None where the spec's own hold.

        `version` is that of the candidate, None where it does not answer; `absent` says who of the two does
        not, empty for nobody. `newest` is the identity of the version that the candidate's spec asks for,
        None where there is no candidate. A version that answers for the first time begins a delivery.
        """
        known = self._known.get(name)
        if known is None or known.wanted.held:
            return None
        known.absent, known.version, known.newest = absent, version, newest
        wanted, delivery = known.wanted, known.delivery
        if version and (delivery is None or delivery.state.version != version.identity):
            # A word that was there before the spec or the version changed was about those.
            obeyed = wanted.hand if delivery else known.heard
            delivery = known.delivery = _begun(wanted, version.identity, self._today, obeyed)
        if delivery and wanted.hand != delivery.state.hand:
            delivery = known.delivery = _obeyed(wanted, delivery, self._today)
        return _weights(known)

    def judge(self, now: Now, outcomes: Outcomes | None) -> set[str]:
        """Decides on every delivery; returns the Experiments whose weights or facts have changed.

        Without `outcomes` nothing was looked at since, and only the time is noted.
        """
        self._today = _stamp(now.wall)
        if outcomes is None:
            return set()
        pause = max(TELL_SECONDS, len(self._known) / MOST_TOLD)
        news: set[str] = set()
        for name, each in self._known.items():
            with self._fence.alone("delivery", EXPERIMENT.kind, name):
                if self._decide(each, now.monotonic, outcomes, pause):
                    news.add(name)
        return news

    def _decide(self, known: _Known, now: float, outcomes: Outcomes, pause: float) -> bool:
        """Decides on one; returns whether there is news of it, of figures alone only after the pause."""
        delivery = known.under_way
        if delivery is None:
            return False
        before = known.mark(delivery)
        candidate, default = _grown(known, outcomes)
        delivery.decide(now, self._today, candidate, default, absent=known.absent)
        if known.mark(delivery) == before and now - known.told_at < pause:
            return False
        known.told_at, told = now, known.told
        return _tell(known, delivery) != told

    def facts(self, name: str) -> DeliveryFacts | None:
        """Returns what the status says of a delivery; None for an Experiment that is none."""
        known = self._known.get(name)
        if known is None:
            return None
        if known.wanted.held or known.delivery is None:
            return facts_before(known.wanted, known.names)
        if known.told is None or known.told_of != known.mark(known.delivery):
            return _tell(known, known.delivery)
        return known.told


def _tell(known: _Known, delivery: Delivery) -> DeliveryFacts:
    """Returns the facts as they are now, and keeps them as those that the status has."""
    absent, outdated = known.absent, known.outdated
    known.told = facts_of_delivery(known.wanted, known.names, delivery, absent=absent, outdated=outdated)
    known.told_of = known.mark(delivery)
    return known.told


def _weights(known: _Known) -> dict[str, int]:
    names, delivery = known.names, known.delivery
    weight = delivery.weight if delivery else known.wanted.rules.steps[0].weight
    # At the end the other one is left out altogether: callers who stay with it are not to keep it.
    weights = {names.default: 100 - weight, names.candidate: weight}
    return {name: each for name, each in weights.items() if each}


def _grown(known: _Known, outcomes: Outcomes) -> tuple[RequestOutcomes, RequestOutcomes]:
    """Returns the requests to the candidate and to the default since the last look; none at the first one.

    Of the candidate only those of the version that answers: failures of the version before may come late.
    """
    candidate = default = RequestOutcomes()
    before, known.counted = (
        known.counted,
        {
            (route, name): found
            for route in known.names.routes
            for name, found in outcomes.get(route, {}).items()
        },
    )
    if before is None:
        return candidate, default
    for (route, name), found in known.counted.items():
        grown = found.since(before.get((route, name), RequestOutcomes()))
        if known.version and name == known.version.name:
            candidate += grown
        elif model_of(name) == known.names.default:
            default += grown
    return candidate, default


def _begun(wanted: WantedDelivery, version: str, today: str, obeyed: str) -> Delivery:
    state = DeliveryState(spec=wanted.digest, version=version, since=today, hand=obeyed)
    return Delivery(wanted.rules, state)


def _obeyed(wanted: WantedDelivery, delivery: Delivery, today: str) -> Delivery:
    """Returns the delivery after a person's word, which is obeyed once."""
    word = hand_of(wanted.hand)
    if word is None:
        # The annotation was taken away, which changes nothing but that the same word may come again.
        delivery.state = replace(delivery.state, hand="")
        return delivery
    made = _begun(wanted, delivery.state.version, today, wanted.hand)
    if word is Hand.PROMOTE:
        made.end(DeliveryPhase.PROMOTED, today, "PromotedByHand", "a person promoted it")
    elif word is Hand.BACK:
        made.end(DeliveryPhase.BACK, today, "BackByHand", "a person took it back")
    return made


def _stamp(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
