"""Writes to the API only while the lease of the term is held for certain.

Made by `run` for each term and asked by the client before each write. Another scheduler may lead since this
process was suspended; its own monotonic clock tells it so before any message could.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.errors import Withheld

if TYPE_CHECKING:
    from collections.abc import Callable


class LeaseGuard:
    """Satisfies `kube.client.Guard`."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        """Takes `leads`, which says whether the lease is held for certain at this moment."""
        self._leads = leads

    def check(self, namespace: str | None) -> None:
        """Raises Withheld unless this scheduler leads."""
        if not self._leads():
            raise Withheld(
                f"not written in {namespace or 'the cluster'}: this scheduler does not lead any more"
            )

    def refused(self, namespace: str | None) -> None:
        """Notes nothing: the exception of the write tells its caller of the refusal."""
