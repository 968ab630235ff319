"""The limits of a delivery, each asked two questions: is it broken for certain, and is it kept for certain?

Called by `progress`. A limit of latency is one of a share, too: that the candidate's 95th percentile is below
a time says that at most 5 % of its answers take longer. Requests whose callers left have no time; that there
are more of them than of the default's is a limit of its own, so that a candidate that hangs is found, and a
caller who leaves on purpose, which meets both alike, is not taken for a fault of one. A caller who has
named one of the two does not meet both alike, and has no part in the requests that break that limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from bailie.delivery.chance import VERY_CERTAIN, enough_for, highest, is_above
from bailie.routing.requests import TIME_BOUNDS, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.delivery.rules import DeliveryRules
    from bailie.routing.requests import RequestOutcomes

SLOW_SHARE = 0.05
"""The share of answers above the 95th percentile."""
FEWEST_TIMES = 20
"""Answers of the default that make a 95th percentile to compare with."""


class BrokenLimit(NamedTuple):
    """Why a candidate is taken back: a token for programs, and a sentence."""

    reason: str
    text: str


def broken(rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes) -> BrokenLimit | None:
    """Returns the first limit that the candidate certainly breaks; None where it may be chance.

    The default's own share counts as high, and its percentile as long, as its requests may speak for.
    """
    found = (check(rules, candidate, default) for check in _CHECKS)
    return next((each for each in found if each), None)


def _too_many_errors(
    rules: DeliveryRules, candidate: RequestOutcomes, _default: RequestOutcomes
) -> BrokenLimit | None:
    limit, said = rules.max_errors, _failed(candidate)
    if limit is None or not is_above(candidate.failures, candidate.requests, limit):
        return None
    return BrokenLimit("TooManyErrors", f"{said}, {_percent(limit)} may")


def _more_errors(
    rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes
) -> BrokenLimit | None:
    if rules.max_more_errors is None:
        return None
    mine, theirs = ((each.failures, each.requests) for each in (candidate, default))
    words = _more(mine, theirs, rules.max_more_errors)
    return BrokenLimit("MoreErrors", f"{_failed(candidate)}, and {words}") if words else None


def _more_cancelled(
    rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes
) -> BrokenLimit | None:
    mine, theirs = ((each.cancelled, _by_chance(each)) for each in (candidate, default))
    words = _more(mine, theirs, rules.max_more_cancelled)
    return BrokenLimit("MoreCancelled", f"{_left(*mine)}, and {words}") if words else None


def _more(mine: tuple[int, int], theirs: tuple[int, int], more: float) -> str:
    """Returns the words for the default's findings, of all, where the candidate's share of its own is
    certainly higher by `more`; empty where it may not be."""
    if not is_above(*mine, highest(*theirs, VERY_CERTAIN) + more):
        return ""
    return f"{theirs[0]} of {theirs[1]} of the default; {_percent(more)} more may"


def _too_slow(
    rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes
) -> BrokenLimit | None:
    if rules.max_latency is None:
        return None
    count = sum(default.times)
    share = 1 - SLOW_SHARE + VERY_CERTAIN * math.sqrt(SLOW_SHARE * (1 - SLOW_SHARE) / max(count, 1))
    longest = quantile(share, default.times, TIME_BOUNDS) if share < 1 else None
    if longest is None:
        return None
    if not is_above(_slow(candidate, rules.max_latency * longest), sum(candidate.times), SLOW_SHARE):
        return None
    return BrokenLimit("TooSlow", _times(candidate, default, rules.max_latency))


_CHECKS = (_too_many_errors, _more_errors, _more_cancelled, _too_slow)


def unproven(rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes) -> str:
    """Returns the words for what is missing to say that all limits are kept; empty for nothing."""
    if candidate.requests < rules.requests:
        return f"it had {candidate.requests} of {rules.requests} requests"
    if rules.max_errors is not None:
        limit = _percent(rules.max_errors)
        if words := _errors(candidate, rules.max_errors, f"more than {limit}"):
            return words
    if rules.max_more_errors is not None:
        if not default.requests:
            return "the default had no requests to compare with"
        more = f"more than {_percent(rules.max_more_errors)} above the default's"
        words = f"{more} {default.failures} of {default.requests}"
        allowed = default.failures / default.requests + rules.max_more_errors
        if words := _errors(candidate, allowed, words):
            return words
    return _cancelled(rules, candidate, default) or _slowness(rules, candidate, default)


def _errors(candidate: RequestOutcomes, limit: float, words: str) -> str:
    """Returns the words for failures of which it is not certain that they keep a limit; empty for certain."""
    if highest(candidate.failures, candidate.requests) <= limit:
        return ""
    needed = f"; about {enough_for(limit)} without a failure show it" if not candidate.failures else ""
    return f"{_failed(candidate)}, which may be {words}{needed}"


def _cancelled(rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes) -> str:
    limit = rules.max_more_cancelled
    for ended in (_by_chance, _ended):
        usual = default.cancelled / max(ended(default), 1)
        if highest(candidate.cancelled, ended(candidate)) <= usual + limit:
            return ""
    theirs = f"more than {_percent(limit)} above the default's {default.cancelled} of {_ended(default)}"
    needed = f"; about {enough_for(limit)} that are answered show it" if not candidate.cancelled else ""
    return f"{_left(candidate.cancelled, _ended(candidate))}, which may be {theirs}{needed}"


def _slowness(rules: DeliveryRules, candidate: RequestOutcomes, default: RequestOutcomes) -> str:
    if rules.max_latency is None:
        return ""
    usual = default.p95
    if usual is None or sum(default.times) < FEWEST_TIMES:
        return "the default had too few answers to compare times with"
    slow = _slow(candidate, rules.max_latency * usual)
    if highest(slow, sum(candidate.times)) > SLOW_SHARE:
        return f"{_times(candidate, default, rules.max_latency)}, which is not certain to be kept"
    return ""


def _slow(candidate: RequestOutcomes, seconds: float) -> int:
    """Returns how many of the answers took longer, those within a bucket spread evenly.

    Above the last bound nothing is known of a time: such a limit is never broken.
    """
    if seconds >= TIME_BOUNDS[-1]:
        return 0
    index = next(number for number, bound in enumerate(TIME_BOUNDS) if seconds < bound)
    lower = TIME_BOUNDS[index - 1] if index else 0.0
    part = (TIME_BOUNDS[index] - seconds) / (TIME_BOUNDS[index] - lower)
    return sum(candidate.times[index + 1 :]) + int(part * candidate.times[index])


def _times(candidate: RequestOutcomes, default: RequestOutcomes, most: float) -> str:
    mine, theirs = (_milliseconds(each.times) for each in (candidate, default))
    said = f"95 % of its answers come within {mine}, of the default's within {theirs}"
    return f"{said}; {most:g} times that may be"


def _milliseconds(times: Sequence[int]) -> str:
    found = quantile(0.95, times, TIME_BOUNDS)
    return "no time" if found is None else f"{1e3 * found:.3g} ms"


def _ended(found: RequestOutcomes) -> int:
    """Returns the requests that were answered or cancelled."""
    return found.requests + found.cancelled


def _by_chance(found: RequestOutcomes) -> int:
    """Returns those of callers who had named none of the two."""
    return _ended(found) - found.pinned


def _failed(found: RequestOutcomes) -> str:
    return f"{found.failures} of {found.requests} requests failed"


def _left(cancelled: int, ended: int) -> str:
    return f"{cancelled} of {ended} callers left before the answer"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
