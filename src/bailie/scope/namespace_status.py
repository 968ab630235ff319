"""The status of one namespace of the scope: a state, a reason and a sentence. Pure.

The operator decides it from its observations and publishes it; `bailie scope list` and `bailie doctor` show
it. The order of the rules is the order in which a person would have to mend things.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bailie.scope.rights import Right, full_name, named


class NamespaceState(enum.StrEnum):
    """The state of a namespace."""

    SERVED = "served"
    LIMITED = "limited"
    """Served, though some of the rights that may be needed are missing."""
    FOREIGN = "foreign"
    """Another operator serves the namespace; this one does not act there."""
    WAITING = "waiting"


SERVING = frozenset({NamespaceState.SERVED, NamespaceState.LIMITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """The operator's observations of a namespace. The defaults hold before the first observation."""

    looked: bool = False
    trouble: str = ""
    """Why the namespace could not be observed."""
    exists: bool | None = None
    """None where the operator may not ask."""
    missing: tuple[Right, ...] = ()
    essential: frozenset[Right] = frozenset()
    """Rights without which the namespace cannot be served at all."""
    nothing_held: bool = False
    upstream: str = ""
    """A sentence about Seldon Core's own operator, empty where it was not found."""
    installation: str = ""
    owner: str = ""
    """The holder of the claim, as `<namespace>/<release>`; empty for a free claim."""
    claimed: bool = False
    """True while this installation certainly holds the claim."""
    since: str = ""
    """When the owner took the claim."""
    listed: bool = False
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceStatus:
    """The decided status; `missing` are rights that are not held, whether they are needed yet or not."""

    state: NamespaceState
    reason: str
    message: str
    owner: str = ""
    since: str = ""
    missing: tuple[Right, ...] = ()

    def manifest(self) -> dict[str, object]:
        """Returns the status as it is published."""
        lacking = [f"{right.verb} {full_name(right.group, right.resource)}" for right in self.missing]
        return {
            "state": self.state.value,
            "reason": self.reason,
            "message": self.message,
            "owner": self.owner,
            "since": self.since,
            "missing": lacking,
        }


def obstacle(seen: Observations) -> tuple[NamespaceState, str, str] | None:
    """Returns why the namespace may not even be claimed, None where it may be."""
    if seen.exists is False:
        return NamespaceState.WAITING, "NamespaceNotFound", "there is no such namespace yet"
    if not seen.looked:
        return NamespaceState.WAITING, "NotLookedAt", seen.trouble or "not looked at yet"
    if seen.nothing_held and seen.exists is None:
        text = "the operator has no rights there, or there is no such namespace (it may not ask which)"
        return NamespaceState.WAITING, "NoRights", text
    lacking = tuple(right for right in seen.missing if right in seen.essential)
    if lacking:
        return NamespaceState.WAITING, "MissingRights", f"the operator lacks {named(seen.missing)}"
    if seen.upstream:
        return (
            NamespaceState.FOREIGN,
            "UpstreamOperator",
            f"Seldon Core's own operator serves it: {seen.upstream}",
        )
    return None


def namespace_status(seen: Observations) -> NamespaceStatus:
    """Returns the status that follows from the observations."""
    state, reason, message = obstacle(seen) or _claimed(seen)
    foreign = state is NamespaceState.FOREIGN and not seen.owner
    return NamespaceStatus(
        state=state,
        reason=reason,
        message=message,
        owner="Seldon Core" if foreign else seen.owner,
        since=seen.since if seen.owner else "",
        missing=seen.missing,
    )


def _claimed(seen: Observations) -> tuple[NamespaceState, str, str]:
    if seen.owner and seen.owner != seen.installation:
        since = f" since {seen.since}" if seen.since else ""
        return NamespaceState.FOREIGN, "ClaimedByAnother", f"{seen.owner} has claimed it{since}"
    if not seen.claimed:
        return NamespaceState.WAITING, "NotClaimed", seen.trouble or "the claim is not taken yet"
    if seen.failures:
        return NamespaceState.WAITING, "CannotBeRead", "; ".join(dict.fromkeys(seen.failures))
    if not seen.listed:
        return NamespaceState.WAITING, "NotListed", "claimed, not listed yet"
    if seen.missing:
        return NamespaceState.LIMITED, "MissingRights", f"the operator lacks {named(seen.missing)}"
    return NamespaceState.SERVED, "Served", ""
