"""Reconciles Servers: the pods of inference servers with their agents.

Run by a Controller with keys. As with runtimes: read the world, converge through the port, report. The number
of loaded models in the status is the scheduler's to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import SERVER, SERVER_CONFIG
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.api.status import happy
from bailie.kube.controller import Result
from bailie.kube.errors import ApiError, Conflict, Unreachable
from bailie.manifests.server import SERVER_LABEL, server_workload
from bailie.operator.conditions import WORKLOAD_READY, not_ready, refused, workload_condition
from bailie.operator.pins import Pins
from bailie.operator.runtimes import PENDING_SECONDS, RESYNC_SECONDS
from bailie.operator.world import Missing

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.kube.informer import Key
    from bailie.operator.reporter import Reporter
    from bailie.operator.world import World
    from bailie.workloads.port import Workloads


class ServerReconciler:
    """Makes the pods of Servers run."""

    def __init__(self, world: World, workloads: Workloads, reporter: Reporter) -> None:
        self._world = world
        self._workloads = workloads
        self._reporter = reporter
        self._pins = Pins()

    def forget(self, uid: str) -> None:
        """Drops what was remembered of a Server that is gone."""
        self._pins.forget(uid)
        self._reporter.forget(uid)

    async def reconcile(self, key: Key) -> Result | None:
        """Converges on one Server. Raises ApiError."""
        manifest = self._world.get(SERVER, key)
        if (
            manifest is None
            or not self._world.is_known(key[0])
            or manifest["metadata"].get("deletionTimestamp")
        ):
            return None
        server, problems = Server.parse(manifest)
        self._reporter.warn(manifest, problems)
        if server is None:
            await self._reporter.report(manifest, [refused(problems)])
            return Result(RESYNC_SECONDS)
        found = self._pins.kept(manifest) or self._world.config(
            SERVER_CONFIG, server.spec.server_config, key[0]
        )
        if isinstance(found, Missing):
            if found.pending:
                return Result(PENDING_SECONDS)
            await self._reporter.report(manifest, [not_ready("ServerConfigNotFound", found.message)])
            return Result(RESYNC_SECONDS)
        config, problems = ServerConfig.parse(found)
        if config is None:
            text = f'ServerConfig "{server.spec.server_config}": {refused(problems).message}'
            await self._reporter.report(manifest, [not_ready("ServerConfigInvalid", text)])
            return Result(RESYNC_SECONDS)
        self._pins.keep(manifest, found)
        await self._run(manifest, server, config)
        return Result(RESYNC_SECONDS)

    async def _run(self, manifest: Object, server: Server, config: ServerConfig) -> None:
        workload = server_workload(server, config)
        try:
            await self._workloads.ensure(workload)
            seen = await self._workloads.observe(workload.namespace, workload.name)
        except (Conflict, Unreachable):
            raise
        except ApiError as error:
            text = f"the server's pods could not be made: {error}"
            await self._reporter.report(manifest, [not_ready("WorkloadFailed", text)])
            raise
        condition = workload_condition(WORKLOAD_READY, workload.replicas, seen)
        await self._reporter.report(
            manifest,
            [condition, happy([condition], [WORKLOAD_READY])],
            {"replicas": seen.replicas, "selector": f"{SERVER_LABEL}={server.metadata.name}"},
        )
