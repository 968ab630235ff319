"""Reconciles Servers: the pods of inference servers with their agents.

The number of loaded models in the status is the scheduler's to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.seldon_config import SCHEDULER
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.api.status import happy
from bailie.manifests.artifact_volumes import patch_warnings
from bailie.manifests.server import SERVER_LABEL, server_origin, server_workload
from bailie.manifests.workload import container_names
from bailie.operator.central_schedulers import hand_made
from bailie.operator.conditions import (
    OWN_OBJECTS,
    WORKLOAD_READY,
    known_containers,
    own_objects,
    scheduler_present,
    server_scaling,
    unmet,
    workload_condition,
)
from bailie.operator.reconciler import OTHERS_SECONDS, RESYNC_SECONDS, Ensured, Outcome, Reconciler

if TYPE_CHECKING:
    from bailie.api.status import Condition
    from bailie.kube.informer import Key
    from bailie.manifests.workload import Workload
    from bailie.operator.reconciler import Using


class ServerReconciler(Reconciler[Server, ServerConfig]):
    """Makes the pods of Servers run."""

    resource = Server
    config = ServerConfig

    def config_name(self, resource: Server) -> str:
        """Returns the ServerConfig's name."""
        return resource.spec.server_config

    def forget(self, key: Key) -> None:
        """Drops the memory of a deleted Server, and of its workload, which has its name."""
        super().forget(key)
        self._workloads.forget(*key)

    async def converge(self, resource: Server, using: Using[ServerConfig]) -> Outcome:
        """Makes the pods run and says how many are ready."""
        workload = server_workload(resource, using.config)
        found = Ensured() if using.frozen else await self._ensure(workload, server_origin(using.config))
        seen = await self._workloads.observe(workload.namespace, workload.name)
        condition = workload_condition(WORKLOAD_READY, workload.replicas, seen)
        ready = (
            unmet("Refused", f"running pods stay as they are: {found.refusal}")
            if found.refusal
            else happy([condition], [WORKLOAD_READY])
        )
        fields = {"replicas": seen.replicas, "selector": f"{SERVER_LABEL}={resource.metadata.name}"}
        namespace = resource.metadata.namespace
        service = hand_made(self._cache, namespace, SCHEDULER)
        present = scheduler_present(namespace, self._cache.runtime_of(namespace), service)
        known = _known_containers(using.config, workload)
        warnings = tuple(patch_warnings(resource.spec.pod_spec, using.config.spec.pod_spec))
        scaling = server_scaling(resource)
        conditions = [condition, known, present, *([scaling] if scaling else []), ready]
        if not using.frozen and not found.refusal:
            conditions += own_objects(found.others, resource.status.condition(OWN_OBJECTS))
        again = OTHERS_SECONDS if found.others else RESYNC_SECONDS
        return Outcome(conditions, fields, made=not found.refusal, again=again, warnings=warnings)


def _known_containers(config: ServerConfig, workload: Workload) -> Condition:
    own, running = container_names(config.spec.pod_spec), container_names(workload.template["spec"])
    return known_containers(f'ServerConfig "{config.metadata.name}"', own, running)
