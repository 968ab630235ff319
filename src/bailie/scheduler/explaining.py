"""The answer of `/explain/<model>`: a model's placement as JSON data. Read by `bailie explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.placement import explain

if TYPE_CHECKING:
    from bailie.placement import Refusal
    from bailie.scheduler.picture import Picture


def explained(picture: Picture, name: str) -> dict[str, Any] | None:
    """Returns what the last pass found about the model; None where there is no such Model."""
    wanted, facts = picture.view.wanted.get(name), picture.facts.get(name)
    if wanted is None or facts is None:
        return None
    answer: dict[str, Any] = {
        "model": name,
        "version": facts.number,
        "identity": wanted.identity,
        "generation": wanted.generation,
        "summary": facts.scheduling or "; ".join(map(str, wanted.problems)) or "the model wants no place",
        "standings": _standings(picture, name),
        "server": "",
        "replicas": [],
        "wanted": wanted.replicas,
        "refusals": [],
        "suggestions": {},
    }
    if wanted.version in {demand.version for demand in picture.view.snapshot.demands}:
        found = explain(picture.view.snapshot, picture.view.plan, wanted.version)
        answer |= {
            "summary": found.sentence,
            "server": found.server,
            "replicas": list(found.replicas),
            "refusals": [_refusal(no) for no in found.refusals],
            "suggestions": found.suggestions,
        }
    answer["trail"] = [*map(_standing_line, answer["standings"]), *map(_refusal_line, answer["refusals"])]
    return answer


def _standings(picture: Picture, name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": each.seat.name,
            "replica": str(each.seat.replica),
            "state": each.state.value,
            "memoryBytes": each.memory_bytes,
            "agentConnected": each.connected,
            "serverReady": each.server_ready,
        }
        for each in picture.view.standings.get(name, ())
    ]


def _refusal(no: Refusal) -> dict[str, Any]:
    return {
        "code": no.code.value,
        "filter": no.filter,
        "server": no.server,
        "replica": no.replica,
        "need": no.need,
        "have": no.have,
    }


def _standing_line(standing: dict[str, Any]) -> str:
    return f"{standing['replica']}: {standing['name']} is {standing['state']}"


def _refusal_line(no: dict[str, Any]) -> str:
    place = no["server"] if no["replica"] is None else f"{no['server']}-{no['replica']}"
    compared = f": needs {no['need']}, has {no['have']}" if no["need"] != "" else ""
    return f"{place}: {no['code']}{compared}"
