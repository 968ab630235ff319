"""A finding of a plan: whether it blocks the move, the object, a sentence, and the remedy. Pure.

Made by the checks, joined by `findings`, shown by `bailie migrate plan`.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import asdict, dataclass
from typing import Any

from bailie.api.texts import shown

_LONGEST = 2000
"""Characters of one text of a finding."""


class Impact(enum.StrEnum):
    """The effect of a finding on a move."""

    BLOCKER = "blocker"
    """The move does not begin before it is mended."""
    ADVICE = "advice"
    """The move goes on; people should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFinding:
    """One finding. `object` is `<kind> <namespace>/<name>`; `remedy` is a command line where there is one."""

    check: str
    impact: Impact
    object: str
    message: str
    remedy: str

    def data(self) -> dict[str, Any]:
        """Returns the finding as JSON data."""
        return {**asdict(self), "impact": self.impact.value}


def quoted(text: object) -> str:
    """Returns a text that anybody may have written into an annotation as one word for a shell."""
    return shlex.quote(shown(str(text or "")))


def blocker(check: str, subject: str, message: str, remedy: str) -> PlanFinding:
    """Makes a finding that keeps a move from beginning."""
    return _finding(Impact.BLOCKER, check, (subject, message, remedy))


def advice(check: str, subject: str, message: str, remedy: str) -> PlanFinding:
    """Makes a finding that people should know."""
    return _finding(Impact.ADVICE, check, (subject, message, remedy))


def _finding(impact: Impact, check: str, texts: tuple[str, str, str]) -> PlanFinding:
    """Makes a finding. Objects of strangers may hold anything: a terminal is to obey nothing of it."""
    subject, message, remedy = (shown(text, _LONGEST) for text in texts)
    return PlanFinding(check=check, impact=impact, object=subject, message=message, remedy=remedy)
