"""A check of isolation as values: its plan, and what it measured. Times are in seconds throughout.

Made by `check`, judged by `report`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REST = "at rest"


class IsolationRefused(Exception):  # noqa: N818 - a decision, with the way on
    """The check cannot begin, or go on: `message` says why, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationPlan:
    """A check. Every phase lasts `seconds`; nothing is sent beyond what the rates allow."""

    namespaces: tuple[str, ...]
    seconds: float = 10.0
    loaded: str = ""
    """The namespace that gets the load; the first one for an empty name."""
    load_per_second: float = 50.0
    """Requests to one Model of the loaded namespace; its probe is changed a fifth as often. 0: no load."""
    end_scheduler_of: str = ""
    """The namespace whose leading scheduler is ended once; nothing is ended for an empty name."""

    def __post_init__(self) -> None:
        """Raises IsolationRefused for a plan that would show nothing."""
        if len(self.namespaces) < 2:
            raise IsolationRefused(
                f"{len(self.namespaces)} namespaces are too few: isolation is between two or more",
                hint="name each with -n",
            )
        for name in (self.loaded, self.end_scheduler_of):
            if name and name not in self.namespaces:
                raise IsolationRefused(
                    f"namespace {name} is not among those that are measured", hint="add -n"
                )

    @property
    def loaded_namespace(self) -> str:
        """The namespace that gets the load."""
        return self.loaded or self.namespaces[0]


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Which scheduler serves a namespace: the namespace that it runs in, and its pod. Empty for none."""

    home: str = ""
    pod: str = ""
    """Empty, too, where the Lease at its home has no holder at this moment."""

    def __str__(self) -> str:
        return f"{self.home}/{self.pod}" if self.home else "none"


@dataclass(slots=True)
class Samples:
    """One namespace in one phase."""

    changes: list[float] = field(default_factory=list)
    """For each change of the probe: the time until the status spoke of it."""
    unseen: float = 0.0
    """How long the last change had waited when the phase was given up; 0 when all were seen."""
    requests: list[float] = field(default_factory=list)
    """For each request that was answered well: the time until the answer."""
    failures: list[str] = field(default_factory=list)
    """For each other request: the error that came in place of the answer."""

    @property
    def longest_change(self) -> float:
        """The longest time for which a change was not acted upon."""
        return max((*self.changes, self.unseen), default=0.0)

    @property
    def failed_share(self) -> float:
        """Failed requests of those that were sent, from 0 to 1; 0 where none was sent."""
        return len(self.failures) / self.sent if self.sent else 0.0

    @property
    def sent(self) -> int:
        """The number of requests."""
        return len(self.requests) + len(self.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A deed to one namespace, and the samples of all of them. `target` is empty at rest."""

    name: str
    target: str = ""
    samples: Mapping[str, Samples]
    load: Samples | None = None
    """The requests of the load itself."""
