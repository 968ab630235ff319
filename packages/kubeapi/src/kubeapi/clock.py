"""The API server's only clock: the time of day as Kubernetes writes it.

Called by `registry.objects`, `access.auth` and others; no other module of the package reads the time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Returns the present time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the edge of this package


def stamp(moment: datetime | None = None) -> str:
    """Returns `moment` (default: now) as `metav1.Time`: RFC 3339 with whole seconds."""
    return (moment or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


def after(seconds: float) -> datetime:
    """Returns the time `seconds` from now."""
    return now() + timedelta(seconds=seconds)
