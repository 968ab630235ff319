"""One move at a time for an installation: a Lease in the operator's namespace. Used by `bailie migrate`.

The Lease is renewed while the command runs. A second person is told who has it, and since when, as soon as
the Lease is seen to be renewed; a command that was killed holds it for 10 s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from bailie.kube.election import LeaderElection, LeaseTiming
from bailie.migration.errors import Busy
from bailie.migration.record import NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bailie.kube.client import Client

T = TypeVar("T")

TIMING = LeaseTiming(duration=10.0, renew=2.0, give_up=7.0, poll=1.0)
PATIENCE_SECONDS = 15.0
"""Longer than the Lease of a killed command lasts."""


async def alone(
    client: Client,
    home: str,
    identity: str,
    work: Callable[[], Awaitable[T]],
    *,
    patience: float = PATIENCE_SECONDS,
    timing: LeaseTiming = TIMING,
) -> T:
    """Runs `work` while the lock is held, and returns its result.

    Raises Busy where another process is at work with the lock, keeps it for `patience` seconds, or takes it
    meanwhile; else the failure of `work`.
    """
    election = LeaderElection(client, home, NAME, identity, timing=timing)
    held, refused, outcome = asyncio.Event(), asyncio.Event(), _Outcome[T]()

    def look() -> None:
        if election.renewing and election.holder != identity:
            refused.set()

    async def lead(_: int) -> None:
        if not held.is_set():
            held.set()
            await outcome.of(work)

    election.subscribe(look)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(election.run(lead))
        waiting = [group.create_task(each.wait()) for each in (held, refused, outcome.ended)]
        await asyncio.wait({running, *waiting[:2]}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if held.is_set():
            await asyncio.wait({running, waiting[2]}, return_when=asyncio.FIRST_COMPLETED)
        if not outcome.done:
            taken = held.is_set() and election.holder not in {"", identity}
            outcome.failure = _busy(election, home, patience, taken=taken)
            running.cancel()
        for each in waiting:
            each.cancel()
    return outcome.result()


def _busy(election: LeaderElection, home: str, patience: float, *, taken: bool) -> Busy:
    """Returns who has the lock, or why it cannot be had. `taken`: another process has just taken it."""
    lease = f"Lease {NAME} in namespace {home}"
    silence = "" if election.holder else f"the API has not answered within {patience:g} s"
    if not taken and (trouble := election.trouble or silence):
        hint = "ask for the right to write it; if the API did not answer, run the command again: it goes on"
        return Busy(f"{lease} cannot be taken: {trouble}", hint=hint)
    text = f"{election.holder} moves a namespace since {election.acquired} ({lease})"
    return Busy(text, hint="wait until that move has ended; only one namespace moves at a time")


class _Outcome(Generic[T]):
    """The end of the work, carried past the task group of the election, which would wrap failures."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()
        self._value: list[T] = []

    @property
    def done(self) -> bool:
        """Says whether the work came to an end of its own: False also where the lease was lost."""
        return bool(self._value) or self.failure is not None

    async def of(self, work: Callable[[], Awaitable[T]]) -> None:
        """Awaits the work and keeps its result or its failure."""
        try:
            self._value.append(await work())
        except Exception as error:  # raised again by `result`
            self.failure = error
        finally:
            self.ended.set()

    def result(self) -> T:
        """Returns the result. Raises the failure."""
        if self.failure is not None:
            raise self.failure
        return self._value[0]
