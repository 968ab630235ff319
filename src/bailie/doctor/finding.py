"""The result of a check: its severity, a sentence, and the remedy. Pure; made by `checks`, shown by
`cli.doctor`."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Level(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One result. `remedy` says how to mend it, empty for a healthy part."""

    check: str
    level: Level
    message: str
    remedy: str = ""
    namespace: str = ""

    def data(self) -> dict[str, Any]:
        """Returns it as JSON data."""
        return asdict(self)


def ok(check: str, message: str, namespace: str = "") -> Finding:
    """Makes a finding of a healthy part."""
    return Finding(check=check, level=Level.OK, message=message, namespace=namespace)


def warning(check: str, message: str, remedy: str, namespace: str = "") -> Finding:
    """Makes a finding that people should know."""
    return Finding(check=check, level=Level.WARNING, message=message, remedy=remedy, namespace=namespace)


def error(check: str, message: str, remedy: str, namespace: str = "") -> Finding:
    """Makes a finding of a fault to mend."""
    return Finding(check=check, level=Level.ERROR, message=message, remedy=remedy, namespace=namespace)


def unknown(check: str, message: str, namespace: str = "") -> Finding:
    """Makes a finding of a check that the caller's rights do not permit."""
    remedy = "check again with an account that has the rights to read it"
    return Finding(check=check, level=Level.UNKNOWN, message=message, remedy=remedy, namespace=namespace)
