"""The answer of `/explain/<model>`: a model's placement as JSON data. Read by `bailie explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.placement import compare, explain, remedies
from bailie.placement.words import amount, counted

if TYPE_CHECKING:
    from bailie.placement import Place, Refusal, VersionId
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
        "servers": [],
        "candidates": [],
        "anew": "",
        "remedies": [],
    }
    if wanted.version in {demand.version for demand in picture.view.snapshot.demands}:
        answer |= _placement(picture, wanted.version)
    answer["trail"] = [
        *map(_standing_line, answer["standings"]),
        *map(_place_line, (*answer["servers"], *answer["candidates"])),
        *map(_refusal_line, () if answer["servers"] else answer["refusals"]),
        *(f"would fit: {each['sentence']}" for each in answer["remedies"]),
    ]
    return answer


def _placement(picture: Picture, version: VersionId) -> dict[str, Any]:
    """`servers` and `candidates` (replicas of the chosen server) are compared only where there is a place."""
    snapshot, plan = picture.view.snapshot, picture.view.plan
    found, others = explain(snapshot, plan, version), compare(snapshot, plan, version)
    return {
        "summary": found.sentence,
        "server": found.server,
        "replicas": list(found.replicas),
        "refusals": [_refusal(no) for no in found.refusals],
        "suggestions": found.suggestions,
        "servers": [_place(each) for each in others.servers],
        "candidates": [_place(each) for each in others.replicas],
        "anew": others.anew,
        "remedies": [
            {"server": each.server, "changes": list(each.changes), "sentence": each.sentence}
            for each in remedies(snapshot, plan, version)
        ],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "server": place.server,
        "replica": place.replica,
        "chosen": place.chosen,
        "takes": place.takes,
        "has": place.has,
        "freeBytes": place.free_bytes,
        "versions": place.versions,
        "lostBy": place.lost_by.value if place.lost_by else "",
        "sentence": place.sentence,
        "refusals": [_refusal(no) for no in place.refusals],
    }


def _standings(picture: Picture, name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": each.seat.name,
            "replica": str(each.seat.replica),
            "state": each.state.value,
            "memoryBytes": each.memory_bytes,
            "measuredBytes": each.report.measured_bytes if each.report else 0,
            "measuredAtLeast": bool(each.report and each.report.measured_at_least),
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
    told = f"{standing['replica']}: {standing['name']} is {standing['state']}"
    if standing["memoryBytes"] or standing["measuredBytes"]:
        told += f", {amount(standing['memoryBytes'])} declared"
    if standing["measuredBytes"]:
        least = "at least " if standing["measuredAtLeast"] else ""
        told += f", {least}{amount(standing['measuredBytes'])} measured"
    if not standing["agentConnected"]:
        told += ", its agent is away"
    if not standing["serverReady"]:
        told += ", its server is not ready"
    return told


def _place_line(place: dict[str, Any]) -> str:
    name = f"server {place['server']}" if place["replica"] is None else _replica_name(place)
    if not place["chosen"]:
        return f"{name}: {place['sentence'] or '; '.join(map(_refusal_text, place['refusals']))}"
    if place["replica"] is not None:
        return f"{name}: chosen"
    room = f"{amount(place['freeBytes'])} free, {counted(place['versions'], 'other model version')}"
    return f"{name}: chosen ({room})"


def _refusal_line(no: dict[str, Any]) -> str:
    return f"{no['server'] if no['replica'] is None else _replica_name(no)}: {_refusal_text(no)}"


def _replica_name(found: dict[str, Any]) -> str:
    return f"{found['server']}-{found['replica']}"


def _refusal_text(no: dict[str, Any]) -> str:
    compared = f": needs {amount(no['need'])}, has {amount(no['have'])}" if no["need"] != "" else ""
    return f"{no['code']}{compared}"
