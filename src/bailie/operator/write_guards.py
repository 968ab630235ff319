"""Write guards: before each write of the operator, the client asks whether this replica may write there.

Made by `run` for each term. A process that was suspended may have lost the leadership and its claims. Both
answers come from the monotonic clock, so they are right before any message arrives. Only a request that was
already under way can still be written: a lease is given up before it is free, which leaves that request some
seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.errors import Withheld

if TYPE_CHECKING:
    from collections.abc import Callable


class LeaderGuard:
    """Lets the leading replica write, in any namespace.

    `on_refusal` is called with the namespace of each answer Forbidden.
    """

    def __init__(self, leads: Callable[[], bool], on_refusal: Callable[[str | None], None]) -> None:
        self._leads = leads
        self._on_refusal = on_refusal

    def check(self, namespace: str | None) -> None:
        """Raises Withheld unless this replica leads."""
        if not self._leads():
            raise Withheld(
                f"not written in {namespace or 'the cluster'}: this replica does not lead any more"
            )

    def refused(self, namespace: str | None) -> None:
        """Tells `on_refusal` of an answer Forbidden."""
        self._on_refusal(namespace)


class ClaimGuard(LeaderGuard):
    """Lets the leading replica write in the namespaces that this installation has claimed."""

    def __init__(
        self,
        leads: Callable[[], bool],
        on_refusal: Callable[[str | None], None],
        claimed: Callable[[str], bool],
    ) -> None:
        super().__init__(leads, on_refusal)
        self._claimed = claimed

    def check(self, namespace: str | None) -> None:
        """Raises Withheld unless this replica leads and certainly holds the claim on the namespace."""
        super().check(namespace)
        if namespace is None or not self._claimed(namespace):
            raise Withheld(f"not written in {namespace or 'the cluster'}: it is not claimed (any more)")
