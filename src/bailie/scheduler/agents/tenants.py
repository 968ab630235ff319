"""The one gRPC servicer behind which the agents of several namespaces have a service each.

Handed to `serving.serve_agents`. An agent says its namespace in the metadata, so that its token can be judged
before anything else of it is read; an agent that says none belongs to the scheduler's own namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from bailie.kube.limits import Complaints
from bailie.kube.peers import address_of
from bailie.kube.tenants import NotServed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.tenants import Tenants
    from bailie.scheduler.agents.service import AgentService, Context


class AgentTenants:
    """Leads each session to the service of its namespace."""

    def __init__(self, tenants: Tenants, services: Mapping[str, AgentService]) -> None:
        """Takes as `services` the service of each namespace of `tenants`; both may change."""
        self._tenants = tenants
        self._services = services
        self._complaints = Complaints()

    def stand_down(self) -> None:
        """Ends every session of every namespace."""
        for service in self._services.values():
            service.stand_down()

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: N802 - gRPC's
        """Serves one stream, from the hello to its end, by the service of the agent's namespace."""
        try:
            tenant = self._tenants.of(context.invocation_metadata() or ())
        except NotServed as error:
            self._complaints.warn("agent refused", str(address_of(context.peer())), cause=str(error))
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise AssertionError from error  # not reached: abort raises
        await self._services[tenant.namespace].Session(request_iterator, context)
