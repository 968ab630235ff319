"""The data planes of a scheduler's process: one for each namespace that it serves, all at one port.

Made by `processes`, which joins the scheduler with the gateway: neither knows the other.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bailie.gateway import ads, endpoint_files
from bailie.gateway.access_log import AccessLog
from bailie.gateway.envoy_calls import EnvoyPlane
from bailie.gateway.publisher import Gateway
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_exposition import exposition
from bailie.wellknown import ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bailie.kube.tenants import Tenants
    from bailie.scheduler.settings import SchedulerSettings


class DataPlanes:
    """The gateways by namespace, and the counts of requests, which outlast a term."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._planes: dict[str, EnvoyPlane] = {}
        self._counts: dict[str, RequestCounts] = defaultdict(RequestCounts)

    @asynccontextmanager
    async def further(self, namespace: str, leads: Callable[[], bool]) -> AsyncIterator[Gateway]:
        """Serves the Envoys of one more namespace while entered."""
        settings = self._settings
        gateway = Gateway(
            settings.max_requests_per_replica,
            endpoint_files.finder(settings.endpoints_dir),
            self._counts[namespace],
            AccessLog(settings.access_log, settings.access_log_path),
            local_sinks=settings.endpoints_dir is not None,
        )
        plane = self._planes[namespace] = EnvoyPlane(gateway, leads)
        try:
            yield gateway
        finally:
            del self._planes[namespace]
            plane.closing.set()

    @asynccontextmanager
    async def first(self, tenants: Tenants, leads: Callable[[], bool]) -> AsyncIterator[Gateway]:
        """Opens the port of all namespaces, and serves the scheduler's own, while entered. Raises OSError."""
        async with (
            self.further(tenants.home, leads) as home,
            ads.serve(tenants, self._planes, self._settings.address, ports.SCHEDULER_XDS),
        ):
            yield home

    def request_metrics(self) -> Iterator[str]:
        """Yields the counts of requests in Prometheus's format, in parts, of the namespaces in which this
        scheduler leads."""
        leading = [(name, plane.gateway) for name, plane in self._planes.items() if plane.leads()]
        return exposition(gateway.shown_requests(name) for name, gateway in leading)
