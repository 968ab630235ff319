"""The answer of `/explain/<model>`: a model's placement as JSON data. Read by `bailie explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.texts import counted
from bailie.placement import compare, explain, remedies
from bailie.placement.words import amount

if TYPE_CHECKING:
    from bailie.control.pass_result import PassResult
    from bailie.placement import Place, Refusal, VersionId


def explained(result: PassResult, name: str) -> dict[str, Any] | None:
    """Returns the findings of the last pass about the model; None where there is no such Model."""
    wanted, facts = result.wanted.get(name), result.facts.get(name)
    if wanted is None or facts is None:
        return None
    answer: dict[str, Any] = {
        "model": name,
        "version": facts.number,
        "identity": wanted.identity,
        "generation": wanted.generation,
        "summary": facts.scheduling or "; ".join(map(str, wanted.problems)) or "the model wants no place",
        "standings": _copies(result, name),
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
    if wanted.version in {demand.version for demand in result.snapshot.demands}:
        answer |= _placement(result, wanted.version)
    answer["fallback"] = _fallback(result, name)
    answer["scaling"] = _scaling(result, name)
    answer["waiting"] = _waiting(result, wanted.version)
    answer["trail"] = [
        *([answer["scaling"]] if answer["scaling"] else []),
        *([f"{answer['fallback']} answers until a replica here does"] if answer["fallback"] else []),
        *answer["waiting"],
        *map(_copy_line, answer["standings"]),
        *map(_place_line, (*answer["servers"], *answer["candidates"])),
        *map(_refusal_line, () if answer["servers"] else answer["refusals"]),
        *(f"would fit: {each['sentence']}" for each in answer["remedies"]),
    ]
    return answer


def _fallback(result: PassResult, name: str) -> str:
    """Returns the mesh that answers in the place of the model, empty for none."""
    found = result.fallback
    return str(found.mesh) if found is not None and name in found.names else ""


def _scaling(result: PassResult, name: str) -> str:
    """Returns why the model has its number of replicas, empty where that is the number in its spec."""
    decision, facts = result.scaling.get(name), result.facts[name].scaling
    if facts is None or decision is None:
        return f"the number of replicas does not follow the load: {facts.text}" if facts else ""
    wait = decision.fewer_in
    return decision.text + (f"; fewer in {wait:.0f} s, if it stays so" if wait is not None else "")


def _waiting(result: PassResult, version: VersionId) -> list[str]:
    """Returns the Server for which the version waits, and those that sleep on, as their replicas would refuse
    it."""
    server = result.waiting.of_version.get(version)
    found = (
        [f'waits for server "{server}", which gets a replica for it or keeps those that it has']
        if server
        else []
    )
    sleep_on = (_refusal(no) for no in result.waiting.refused.get(version, ()))
    return found + [
        f"{no['server']} sleeps on, as its last replicas were: {_refusal_text(no)}" for no in sleep_on
    ]


def _placement(result: PassResult, version: VersionId) -> dict[str, Any]:
    """Returns the part of the answer about the version's place.

    `servers` and `candidates` (replicas of the chosen server) are empty where there is no place.
    """
    snapshot, plan = result.snapshot, result.plan
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


def _copies(result: PassResult, name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": each.id.name,
            "replica": str(each.id.replica),
            "state": each.state.value,
            "memoryBytes": each.memory_bytes,
            "measuredBytes": each.report.measured_bytes if each.report else 0,
            "measuredAtLeast": bool(each.report and each.report.measured_at_least),
            "agentConnected": each.connected,
            "serverReady": each.server_ready,
            "artifactPath": each.report.artifact_path if each.report else "",
        }
        for each in result.copies.get(name, ())
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


def _copy_line(copy: dict[str, Any]) -> str:
    told = f"{copy['replica']}: {copy['name']} is {copy['state']}"
    if copy["memoryBytes"] or copy["measuredBytes"]:
        told += f", {amount(copy['memoryBytes'])} declared"
    if copy["measuredBytes"]:
        least = "at least " if copy["measuredAtLeast"] else ""
        told += f", {least}{amount(copy['measuredBytes'])} measured"
    if copy["artifactPath"]:
        told += f", serves {copy['artifactPath']} of the artifact"
    if not copy["agentConnected"]:
        told += ", its agent is away"
    if not copy["serverReady"]:
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
