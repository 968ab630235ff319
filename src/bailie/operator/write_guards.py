"""The guard of the operator's writes in namespaces: this replica leads, and certainly holds the claim.

Made by `run` for each term. Like the leadership, a claim may be lost while a process is suspended; both
answers come from the monotonic clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.leader_guard import LeaderGuard, withheld

if TYPE_CHECKING:
    from collections.abc import Callable


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
            raise withheld(namespace, "it is not claimed (any more)")
