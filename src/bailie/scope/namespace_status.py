"""What is true of one namespace of the scope, in one word and one sentence. Pure.

The operator decides it from what it has seen and publishes it; `bailie scope list` and `bailie doctor` show
it. The order of the rules is the order in which a person would have to mend things.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bailie.scope.rights import Right, full_name, named


class NamespaceState(enum.StrEnum):
    """What becomes of a namespace."""

    SERVED = "served"
    LIMITED = "limited"
    """Served, but not all that may be needed is permitted."""
    FOREIGN = "foreign"
    """Another operator serves it; this one stands back."""
    WAITING = "waiting"


SERVING = frozenset({NamespaceState.SERVED, NamespaceState.LIMITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What the operator has seen of a namespace. The defaults are those of one not looked at yet."""

    looked: bool = False
    trouble: str = ""
    """Why it could not be looked at."""
    exists: bool | None = None
    """None where the operator may not ask."""
    missing: tuple[Right, ...] = ()
    essential: frozenset[Right] = frozenset()
    """Rights without which the namespace cannot be served at all."""
    nothing_held: bool = False
    upstream: str = ""
    """What was found of Seldon Core's own operator, in words."""
    installation: str = ""
    owner: str = ""
    """Who holds the claim, as `<namespace>/<release>`; empty for nobody."""
    claimed: bool = False
    """True while the claim is this installation's for certain."""
    since: str = ""
    """When the owner took the claim."""
    listed: bool = False
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceStatus:
    """The result; `missing` are rights that are not held, whether they matter already or not."""

    state: NamespaceState
    reason: str
    message: str
    owner: str = ""
    since: str = ""
    missing: tuple[Right, ...] = ()

    def manifest(self) -> dict[str, object]:
        """Returns it as it is published."""
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
    """Returns why the namespace may not even be claimed, None where nothing is in the way."""
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
    """Returns where the namespace stands."""
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
