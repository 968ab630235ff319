"""The answer of `/servers/<name>`: a Server's number of replicas and what they hold, as JSON data.

Called by `bailie.scheduler.namespace` for `bailie explain server`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bailie.api.texts import abridged, counted
from bailie.placement.words import amount

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.placement import Replica, Server

MOST_NAMED = 5
"""Models of a replica that a line names."""


def explained_server(result: PassResult, name: str) -> dict[str, Any] | None:
    """Returns the findings of the last pass about the Server; None where it is not known."""
    server = next((each for each in result.snapshot.servers if each.name == name), None)
    if server is None:
        return None
    models: dict[int, set[str]] = defaultdict(set)
    used: dict[int, int] = defaultdict(int)
    for each in result.snapshot.holdings:
        if each.replica.server == name:
            models[each.replica.ordinal].add(each.version.model)
            used[each.replica.ordinal] += each.counted_bytes
    known = {each.index: each for each in server.replicas}
    replicas = [
        _replica(known.get(number), number, sorted(models[number]), used[number])
        for number in sorted({*server.ordinals, *known})
    ]
    scaling = _scaling(result, name)
    return {
        "server": name,
        "wanted": server.wanted_replicas,
        "scaling": scaling,
        "replicas": replicas,
        "trail": [*([scaling] if scaling else []), *(_line(server, each) for each in replicas)],
    }


def _replica(seen: Replica | None, number: int, models: list[str], used: int) -> dict[str, Any]:
    return {
        "number": number,
        "state": _state(seen),
        "models": models,
        "usedBytes": used,
        "memoryBytes": seen.capacity_bytes if seen else 0,
    }


def _state(seen: Replica | None) -> str:
    if seen is None:
        return "has not reported"
    if not seen.connected:
        return "has lost its agent"
    if seen.draining:
        return "is draining"
    return "answers" if seen.ready else "has a model server that does not answer"


def _scaling(result: PassResult, name: str) -> str:
    """Returns why the Server has its number of replicas, empty where that is the number in its spec."""
    facts = result.server_scaling.get(name)
    if facts is None or facts.newest is None:
        return f"the number of replicas does not follow the models: {facts.text}" if facts else ""
    wait = facts.newest.fewer_in
    return facts.newest.text + (f"; {wait:.0f} s are left" if wait is not None else "")


def _line(server: Server, each: dict[str, Any]) -> str:
    told = f"{server.name}-{each['number']} {each['state']}"
    names = each["models"]
    if names:
        told += f", has {counted(len(names), 'model')}: {abridged(names, MOST_NAMED)}"
    if each["memoryBytes"]:
        told += f"; {amount(each['usedBytes'])} of {amount(each['memoryBytes'])} used"
    return told
