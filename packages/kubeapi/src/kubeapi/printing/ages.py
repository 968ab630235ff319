"""The time since a moment, in the words of kubectl's AGE column.

Called by `columns` and `table`. Pure: `now` comes in. After k8s.io/apimachinery `duration.HumanDuration`.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN, INVALID = "<unknown>", "<invalid>"
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def age(stamp: object, now: datetime) -> str:
    """Returns the time from an RFC 3339 stamp to `now`: `5s`, `3m20s`, `2d5h`; `<unknown>` without one."""
    if not stamp:
        return UNKNOWN
    try:
        moment = datetime.fromisoformat(str(stamp))
    except ValueError:
        return INVALID
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return duration((now - moment).total_seconds())


def duration(seconds: float) -> str:
    """Returns a duration with two units at most; with two only where the second still matters."""
    whole = int(seconds)
    if whole < -1:
        return INVALID
    if whole < 0:
        return "0s"
    for limit, big, small in _STEPS:
        if whole < limit:
            return _written(whole, big, small)
    return f"{whole // _YEAR}y"


_UNITS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
# Below the limit: the unit, and the unit of the rest (0: the rest is not said).
_STEPS = (
    (2 * _MINUTE, 1, 0),
    (10 * _MINUTE, _MINUTE, 1),
    (3 * _HOUR, _MINUTE, 0),
    (8 * _HOUR, _HOUR, _MINUTE),
    (2 * _DAY, _HOUR, 0),
    (8 * _DAY, _DAY, _HOUR),
    (2 * _YEAR, _DAY, 0),
    (8 * _YEAR, _YEAR, _DAY),
)


def _written(seconds: int, big: int, small: int) -> str:
    count, rest = divmod(seconds, big)
    text = f"{count}{_UNITS[big]}"
    if not small or rest < small:
        return text
    return f"{text}{rest // small}{_UNITS[small]}"
