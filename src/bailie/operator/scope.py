"""Which namespaces the operator serves just now, and what becomes of each.

Owned by `run`. `Scope.serve` may be called at any time; namespaces are taken up and let go while everything
else goes on. Letting go stops watching: what runs there keeps running. A namespace that cannot be read is
retried by its informers and stands in nobody's way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge

from bailie.api.kinds import NAMESPACE
from bailie.kube.informer import Informer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bailie.kube.client import Client
    from bailie.kube.informers import InformerSet

log = structlog.get_logger(__name__)

NAMESPACES = Gauge("bailie_operator_namespaces", "Namespaces by state: served or waiting.", ["state"])


class Scope:
    """The set of namespaces, as running watches."""

    def __init__(self, informers: InformerSet) -> None:
        self._informers = informers
        self._wanted: frozenset[str] = informers.namespaces
        self._changed = asyncio.Event()

    def serve(self, namespaces: Iterable[str]) -> None:
        """Wants exactly these namespaces served. Returns at once; `run` brings it about."""
        self._wanted = frozenset(namespaces)
        self._changed.set()

    def state(self) -> dict[str, dict[str, str]]:
        """Returns for each namespace whether it is served or waiting, and for what."""
        return {name: self._state(name) for name in sorted(self._informers.namespaces)}

    async def run(self) -> None:
        """Follows `serve` until cancelled."""
        while True:
            await self._converge()
            await self._changed.wait()
            self._changed.clear()

    async def _converge(self) -> None:
        present = self._informers.namespaces
        for namespace in sorted(present - self._wanted):
            await self._informers.remove(namespace)
            log.info("Namespace let go; what runs there keeps running", namespace=namespace)
        for namespace in sorted(self._wanted - present):
            self._informers.add(namespace)
            log.info("Namespace taken up", namespace=namespace)

    def _state(self, namespace: str) -> dict[str, str]:
        failures = self._informers.failures(namespace)
        if failures:
            cause = "; ".join(dict.fromkeys(str(failure) for failure in failures.values()))
            return {"state": "waiting", "message": cause}
        if not self._informers.synced(namespace):
            return {"state": "waiting", "message": "not listed yet"}
        return {"state": "served", "message": ""}


def count_states(scope: Scope) -> None:
    """Makes the metric follow the scope."""

    def counter(state: str) -> Callable[[], float]:
        return lambda: sum(entry["state"] == state for entry in scope.state().values())

    for state in ("served", "waiting"):
        NAMESPACES.labels(state).set_function(counter(state))


async def follow_cluster(client: Client, scope: Scope) -> None:
    """Serves every namespace of the cluster that is not being deleted, until cancelled."""
    informer = Informer(client, NAMESPACE)

    def update() -> None:
        if informer.synced.is_set():
            scope.serve(
                item["metadata"]["name"]
                for item in informer.store.values()
                if not item["metadata"].get("deletionTimestamp")
            )

    informer.subscribe(lambda _: update())
    informer.subscribe_state(update)
    await informer.run()
