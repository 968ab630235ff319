"""The entry of the routing table that a contribution becomes: which copies are asked, and with which weights.

Called by `routes` for each subject that changed. Pure; the table's own rules are those of `routing.build`.
"""

from __future__ import annotations

from collections import defaultdict
from math import lcm
from typing import TYPE_CHECKING

from bailie.lifecycle.copies import CopyState
from bailie.routing.build import Serving, build_entry
from bailie.routing.table import HELD, MAX_TOTAL_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bailie.api.payload_log import PayloadLog
    from bailie.control.fleet import ModelCopy
    from bailie.control.subjects import Contribution
    from bailie.routing.table import Entry, ReplicaEndpoint

_MOST = MAX_TOTAL_WEIGHT // 2
"""Above this sum weights are scaled down. No weight falls to 0 by that, so the sum may end above it."""


def entry_of(contribution: Contribution | None, present: Mapping[str, ReplicaEndpoint]) -> Entry | None:
    """Returns the entry of a contribution; None for no entry. `present` are the replicas' places by name."""
    if contribution is None:
        return None
    asked = asked_copies(contribution)
    if not asked:
        return contribution.otherwise
    return build_entry(
        _servings(asked, contribution.weights, contribution.payload_logs),
        present,
        sticky=contribution.sticky,
        mirror=contribution.mirror,
    )


def asked_copies(contribution: Contribution) -> tuple[ModelCopy, ...]:
    """Returns the copies that get the requests: for each Model its own choice of copies.

    None, where only Models of weight 0 could answer.
    """
    asked = {model: _asked_of_model(copies) for model, copies in _by_model(contribution.copies).items()}
    if not any(contribution.weights.get(model, 1) for model, copies in asked.items() if copies):
        return ()
    return tuple(copy for copies in asked.values() for copy in copies)


def _asked_of_model(copies: Collection[ModelCopy]) -> tuple[ModelCopy, ...]:
    """Returns the copies of one Model that get its requests.

    Only servers that are ready are asked: a server that crashed listens again before its models are there,
    and one that hangs takes connections. Of these, copies that stay go before copies that drain, and copies
    in memory before evicted ones; where none is in memory, the agents bring them back.
    """
    ready = tuple(each for each in copies if each.server_ready)
    staying = tuple(each for each in ready if not each.draining) or ready
    return tuple(each for each in staying if each.state is CopyState.LOADED) or staying


def _servings(
    asked: Iterable[ModelCopy], weights: Mapping[str, int], logs: Mapping[str, PayloadLog]
) -> list[Serving]:
    """Returns one backend per name on the servers. A Model's weight is shared by its replicas evenly."""
    places = {model: _places(copies) for model, copies in _by_model(asked).items()}
    sizes = {model: sum(map(len, names.values())) for model, names in places.items()}
    even = lcm(*sizes.values())  # so that every share is a whole number
    shares = {
        name: (weights.get(model, 1) * len(found) * even // sizes[model], found, logs.get(model))
        for model, names in places.items()
        for name, found in names.items()
    }
    total = sum(weight for weight, _, _ in shares.values())
    return [
        Serving(name=name, weight=_scaled(weight, total), replicas=found, payload_log=log)
        for name, (weight, found, log) in shares.items()
    ]


def _scaled(weight: int, total: int) -> int:
    return weight if total <= _MOST else max(min(weight, 1), weight * _MOST // total)


def _by_model(copies: Iterable[ModelCopy]) -> dict[str, list[ModelCopy]]:
    found: dict[str, list[ModelCopy]] = defaultdict(list)
    for copy in copies:
        found[copy.id.version.model].append(copy)
    return found


def _places(copies: Iterable[ModelCopy]) -> dict[str, frozenset[str]]:
    """Returns the places of each name on the servers: the replica, or its agent where the copy is evicted."""
    found: dict[str, set[str]] = defaultdict(set)
    for copy in copies:
        place = str(copy.id.replica)
        found[copy.id.name].add(place if copy.state is CopyState.LOADED else f"{place}{HELD}")
    return {name: frozenset(places) for name, places in found.items()}
