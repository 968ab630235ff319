"""May this replica write there at this moment? Asked by the client before each write of the operator.

Made by `run` for each term. A process that was suspended and wakes up may be neither leader nor owner any
more; the monotonic clock behind both answers tells it so before any message could. What remains is a request
that was already under way: leases are given up before they are free, which leaves it some seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.kube.errors import Withheld

if TYPE_CHECKING:
    from collections.abc import Callable


class LeaderGate:
    """Lets the leading replica write, in whatever namespace. `on_refusal` hears where Forbidden came from."""

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
        """Passes it on."""
        self._on_refusal(namespace)


class ClaimGate(LeaderGate):
    """Lets the leading replica write in the namespaces that are claimed."""

    def __init__(
        self,
        leads: Callable[[], bool],
        on_refusal: Callable[[str | None], None],
        claimed: Callable[[str], bool],
    ) -> None:
        super().__init__(leads, on_refusal)
        self._claimed = claimed

    def check(self, namespace: str | None) -> None:
        """Raises Withheld unless this replica leads and the namespace is claimed for certain."""
        super().check(namespace)
        if namespace is None or not self._claimed(namespace):
            raise Withheld(f"not written in {namespace or 'the cluster'}: it is not claimed (any more)")
