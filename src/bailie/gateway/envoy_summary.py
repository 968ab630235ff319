"""The revision that all connected Envoys have taken over, their refusals, and the requests that they keep.

Held by `publisher`. Does no I/O. There may be hundreds of Envoys, each with thousands of requests that it
keeps, and each of their messages may change something: only what the Envoy in question says is looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bailie.gateway.session import XdsSession
    from bailie.routing.table import Asleep


_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class _WordOfEnvoy:
    """The revision that an Envoy has taken over, None before it serves, and what it refuses in its words."""

    revision: int | None
    refusal: str


_NOTHING = _WordOfEnvoy(None, "")


class EnvoySummary:
    """The Envoys of one namespace, by their sessions."""

    def __init__(self) -> None:
        self._said: dict[int, _WordOfEnvoy] = {}
        self._revisions: Counter[int] = Counter()
        self._refusals: dict[int, tuple[str, str]] = {}
        """The pods of the Envoys that refuse something, and their words."""
        self._keeping: Counter[Asleep] = Counter()
        self._kept: frozenset[Asleep] | None = frozenset()

    @property
    def acknowledged(self) -> int:
        """The lowest revision that every serving Envoy has taken over; 0 when there is none."""
        return min(self._revisions, default=0)

    @property
    def refusal(self) -> str:
        """The first thing that an Envoy refuses; empty where none does."""
        return min(self._refusals.values(), default=("", ""))[1]

    @property
    def kept(self) -> frozenset[Asleep]:
        """The sleeps for which an Envoy keeps requests."""
        if self._kept is None:
            self._kept = frozenset(self._keeping)
        return self._kept

    def note(self, pod: str, session: XdsSession) -> bool:
        """Takes over what the Envoy in `pod` says now; returns whether anything above has changed."""
        said = _WordOfEnvoy(session.acknowledged if session.serving else None, _refusal(pod, session))
        return self._replace(id(session), pod, said) | self._keep(session)

    def leave(self, session: XdsSession) -> bool:
        """Leaves an Envoy out from now on, whatever it keeps; returns whether anything above has changed."""
        session.forget_kept()
        return self._replace(id(session), "", _NOTHING) | self._keep(session)

    def _replace(self, key: int, pod: str, said: _WordOfEnvoy) -> bool:
        before, said_before = (self.acknowledged, self.refusal), self._said.pop(key, _NOTHING)
        if said != _NOTHING:
            self._said[key] = said
        if said == said_before:
            return False
        for revision, by in ((said_before.revision, -1), (said.revision, 1)):
            if revision is not None:
                _add(self._revisions, revision, by)
        self._refusals.pop(key, None)
        if said.refusal:
            self._refusals[key] = (pod, said.refusal)
        return before != (self.acknowledged, self.refusal)

    def _keep(self, session: XdsSession) -> bool:
        news = session.take_kept_news()
        before = {each: each in self._keeping for each in news}
        for each, by in news.items():
            _add(self._keeping, each, by)
        changed = any(was != (each in self._keeping) for each, was in before.items())
        if changed:
            self._kept = None
        return changed


def _add(counts: Counter[_Key], key: _Key, by: int) -> None:
    counts[key] += by
    if not counts[key]:
        del counts[key]


def _refusal(pod: str, session: XdsSession) -> str:
    rejected = session.rejections()
    first = min(rejected, default="")
    return f"Envoy {pod} refuses {first}: {rejected[first]}" if first else ""
