"""Lets a process write to the API only while it leads for certain.

Made by the scheduler and the operator for each term, and asked by `client` before each write. A process that
was suspended may have lost the leadership. Its own monotonic clock tells it so before any message arrives.
Only a request that was already under way can still be written: a lease is given up before it is free, which
leaves that request some seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.errors import Withheld

if TYPE_CHECKING:
    from collections.abc import Callable


class LeaderGuard:
    """Lets the leader write, in any namespace. Satisfies `client.Guard`."""

    def __init__(
        self, leads: Callable[[], bool], on_refusal: Callable[[str | None], None] = lambda _: None
    ) -> None:
        """Takes `leads`, which says whether the lease is held for certain at this moment.

        `on_refusal` is called with the namespace of each answer Forbidden.
        """
        self._leads = leads
        self._on_refusal = on_refusal

    def check(self, namespace: str | None) -> None:
        """Raises Withheld unless this process leads."""
        if not self._leads():
            raise withheld(namespace, "this process does not lead any more")

    def refused(self, namespace: str | None) -> None:
        """Tells `on_refusal` of an answer Forbidden."""
        self._on_refusal(namespace)


def withheld(namespace: str | None, why: str) -> Withheld:
    """Returns the exception of a write that is not sent; None stands for outside of namespaces."""
    return Withheld(f"not written in {namespace or 'the cluster'}: {why}")
