"""Reconciles Servers: the pods of inference servers with their agents.

The number of loaded models in the status is the scheduler's to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.api.status import happy
from bailie.manifests.server import SERVER_LABEL, server_workload
from bailie.operator.conditions import WORKLOAD_READY, workload_condition
from bailie.operator.reconciler import Reconciler

if TYPE_CHECKING:
    from bailie.kube.client import Object


class ServerReconciler(Reconciler[Server, ServerConfig]):
    """Makes the pods of Servers run."""

    resource = Server
    config = ServerConfig

    def config_name(self, resource: Server) -> str:
        """Returns the ServerConfig's name."""
        return resource.spec.server_config

    async def converge(self, manifest: Object, resource: Server, config: ServerConfig) -> None:
        """Makes the pods run and reports how many are ready."""
        workload = server_workload(resource, config)
        await self._workloads.ensure(workload)
        seen = await self._workloads.observe(workload.namespace, workload.name)
        condition = workload_condition(WORKLOAD_READY, workload.replicas, seen)
        await self._reporter.report(
            manifest,
            [condition, happy([condition], [WORKLOAD_READY])],
            {"replicas": seen.replicas, "selector": f"{SERVER_LABEL}={resource.metadata.name}"},
        )
