"""Wall-clock time at the edge, and how Kubernetes writes it.

Objects carry wall-clock stamps for people; durations are measured by the event loop's monotonic time.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Returns the present, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


def stamp(moment: datetime) -> str:
    """Returns a `Time` (RFC 3339, seconds), as in conditions and v1 Events."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_micro(moment: datetime) -> str:
    """Returns a `MicroTime` (RFC 3339, microseconds), as in Leases."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
