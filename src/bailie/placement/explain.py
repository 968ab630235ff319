"""Why a version is where it is, or is nowhere: one sentence for people, and every reason as a value.

Called by the scheduler for the `Scheduled` condition and its event, and by `bailie explain`. Adds no
decision: everything is read from the plan's assignment and refusals.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.texts import counted
from bailie.placement.aliases import nearest
from bailie.placement.plan import Assignment, Code, Plan, Refusal
from bailie.placement.words import amount, at_least, at_most, listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.placement.snapshot import Demand, Snapshot, VersionId

# The words of each refusal for one server or replica, and for several.
_PHRASES = {
    Code.NOT_PINNED: ('is not server "{need}"', 'are not server "{need}"'),
    Code.GOING_AWAY: ("is scaled to zero", "are scaled to zero"),
    Code.NO_REPLICA: ("has no replica connected", "have no replica connected"),
    Code.LACKS_CAPABILITY: ("lacks capability {need}", "lack capability {need}"),
    Code.TOO_LARGE: (
        "has only {have} in all, less than the {need} needed",
        "have at most {have} in all, less than the {need} needed",
    ),
    Code.MEMORY_SHORT: ("has {have} free of {need} needed", "have at most {have} free of {need} needed"),
    Code.NOT_CONNECTED: ("has lost its agent", "have lost their agents"),
    Code.NOT_READY: ("has a model server that does not answer", "have model servers that do not answer"),
    Code.DRAINING: ("is draining", "are draining"),
}
# Refusals of a version by servers that it does not name.
_OF_OTHERS = {Code.NOT_PINNED, Code.NOT_SHARED}
# The order in which the refusal is chosen that speaks for a server whose replicas differ: the mildest first.
_NEARNESS = (Code.MEMORY_SHORT, Code.NOT_READY, Code.NOT_CONNECTED, Code.DRAINING, Code.TOO_LARGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One version's placement. `suggestions` maps names that were asked for to names that may be meant."""

    version: VersionId
    sentence: str
    server: str
    replicas: tuple[int, ...]
    wanted: int
    refusals: tuple[Refusal, ...]
    suggestions: dict[str, str]


def explain(snapshot: Snapshot, plan: Plan, version: VersionId) -> Explanation:
    """Returns the explanation of a version. Raises KeyError where the snapshot has no demand for it."""
    demand = {demand.version: demand for demand in snapshot.demands}[version]
    assigned = plan.assignments.get(version)
    refusals = _told(snapshot, plan.refusals.get(version, ()))
    return Explanation(
        version=version,
        sentence=sentence(snapshot, plan, version),
        server=assigned.server if assigned else "",
        replicas=assigned.replicas if assigned else (),
        wanted=demand.replicas,
        refusals=refusals,
        suggestions=_suggestions(snapshot, refusals),
    )


def sentence(snapshot: Snapshot, plan: Plan, version: VersionId) -> str:
    """Returns the assignment and the refusals of a version folded into one sentence with counts."""
    refusals = _told(snapshot, plan.refusals.get(version, ()))
    assigned = plan.assignments.get(version)
    if assigned is None:
        return _nowhere(snapshot, refusals)
    placed = (
        f'{len(assigned.replicas)}/{assigned.demand.replicas} replicas placed on server "{assigned.server}"'
    )
    return f"{placed}: {_shortfall(snapshot, assigned, refusals)}" if assigned.missing else placed


def _told(snapshot: Snapshot, refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """Returns the refusals without those of servers that are not shared and not named by the version."""
    hidden = {server.name for server in snapshot.servers if not server.shared}
    return tuple(no for no in refusals if no.server not in hidden or no.code not in _OF_OTHERS)


def _nowhere(snapshot: Snapshot, refusals: tuple[Refusal, ...]) -> str:
    names = {server.name for server in snapshot.servers if server.shared} | {no.server for no in refusals}
    if not names:
        return "0/0 servers fit: the namespace has no server"
    suggestions = _suggestions(snapshot, refusals)
    groups = _grouped(_spokesman(each) for each in _by_server(refusals).values())
    groups.sort(key=lambda group: (_is_noise(group[0], names), -len(group), group[0].code.value))
    said = ", ".join(_count(group) + _hint(group[0], names, suggestions) for group in groups)
    return f"0/{len(names)} servers fit: {said}"


def _shortfall(snapshot: Snapshot, assigned: Assignment, refusals: tuple[Refusal, ...]) -> str:
    server = next(server for server in snapshot.servers if server.name == assigned.server)
    groups = _grouped(no for no in refusals if no.server == assigned.server)
    groups.sort(key=lambda group: (-len(group), group[0].code.value))
    said = [_count(group, " replica", " replicas") for group in groups]
    have = len(server.replicas)
    if have < assigned.demand.replicas:
        said.append(f"it has {counted(have, 'replica')}")
    return ", ".join(said) + _measured(assigned.demand)


def _measured(demand: Demand) -> str:
    """Says where the needed amount comes from when it is measured and the Model does not declare it."""
    if demand.measured_bytes <= demand.memory_bytes:
        return ""
    return f" ({amount(demand.measured_bytes)} measured, {amount(demand.memory_bytes)} declared)"


def _by_server(refusals: Iterable[Refusal]) -> dict[str, list[Refusal]]:
    found: dict[str, list[Refusal]] = defaultdict(list)
    for no in refusals:
        found[no.server].append(no)
    return found


def _spokesman(refusals: list[Refusal]) -> Refusal:
    if len(refusals) == 1:
        return refusals[0]
    return min(refusals, key=lambda no: (_NEARNESS.index(no.code), -_number(no.have), no.replica or 0))


def _grouped(refusals: Iterable[Refusal]) -> list[list[Refusal]]:
    """Returns the refusals in groups with the same words; in each, the refusal that has most comes first."""
    groups: dict[tuple[Code, int | str], list[Refusal]] = defaultdict(list)
    for no in refusals:
        groups[no.code, no.need if "{need}" in _PHRASES[no.code][0] else ""].append(no)
    return [sorted(group, key=lambda no: -_number(no.have)) for group in groups.values()]


def _count(group: list[Refusal], one: str = "", many: str = "") -> str:
    first, plural = group[0], len(group) > 1
    phrase = _PHRASES[first.code][plural]
    return f"{len(group)}{many if plural else one} " + phrase.format(need=_text(first), have=_have(first))


def _text(no: Refusal) -> str:
    if no.code is Code.LACKS_CAPABILITY:
        return ", ".join(f'"{tag}"' for tag in _tags(no))
    return amount(no.need) if amount(no.need) != amount(no.have) else at_least(_number(no.need))


def _have(no: Refusal) -> str:
    """Returns the amount that is there, rounded, unless both amounts would then read alike."""
    return amount(no.have) if amount(no.need) != amount(no.have) else at_most(_number(no.have))


def _hint(no: Refusal, servers: set[str], suggestions: dict[str, str]) -> str:
    """Returns the question after the name that may be meant, for unknown capabilities and servers."""
    if no.code is Code.LACKS_CAPABILITY:
        meant = [suggestions[tag] for tag in _tags(no) if tag in suggestions]
        return f" (did you mean {listed(meant)}?)" if meant else ""
    if no.code is not Code.NOT_PINNED or no.need in servers:
        return ""
    near = suggestions.get(str(no.need))
    return (
        f" (there is none of that name; did you mean {listed([near])}?)"
        if near
        else " (there is none of that name)"
    )


def _is_noise(no: Refusal, servers: set[str]) -> bool:
    """Says whether a refusal is not worth telling: that a server is not the pinned one, while that exists."""
    return no.code is Code.NOT_PINNED and no.need in servers


def _suggestions(snapshot: Snapshot, refusals: tuple[Refusal, ...]) -> dict[str, str]:
    capabilities = {tag for server in snapshot.servers if server.shared for tag in server.capabilities}
    servers = {server.name for server in snapshot.servers if server.shared}
    asked = {tag: capabilities for no in refusals if no.code is Code.LACKS_CAPABILITY for tag in _tags(no)}
    asked |= {str(no.need): servers for no in refusals if no.code is Code.NOT_PINNED}
    near = {name: nearest(name, known) for name, known in sorted(asked.items())}
    return {name: meant for name, meant in near.items() if meant}


def _tags(no: Refusal) -> list[str]:
    return str(no.need).split(", ")


def _number(have: int | str) -> int:
    return have if isinstance(have, int) else 0
