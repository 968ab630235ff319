"""The one gRPC servicer behind which the agents of several namespaces have a service each.

Handed to `service.serve_agents`. An agent says its namespace in the metadata, so that its token can be judged
before anything else of it is read; an agent that says none belongs to the scheduler's own namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from bailie.kube.limits import Complaints
from bailie.kube.token import named_namespace
from bailie.scheduler.agents.peers import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.scheduler.agents.service import AgentService, Context

_LONGEST_NAMESPACE = 63


class AgentTenants:
    """Leads each session to the service of its namespace."""

    def __init__(self, home: str, services: Mapping[str, AgentService]) -> None:
        self._home = home
        self._services = services
        self._complaints = Complaints()

    def stand_down(self) -> None:
        """Ends every session of every namespace."""
        for service in self._services.values():
            service.stand_down()

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: N802 - gRPC's
        """Serves one stream, from the hello to its end, by the service of the agent's namespace."""
        namespace = named_namespace(context.invocation_metadata() or ()) or self._home
        service = self._services.get(namespace)
        if service is None:
            told = f"this scheduler does not serve namespace {namespace[:_LONGEST_NAMESPACE]!r}"
            self._complaints.warn("agent refused", str(address_of(context.peer())), cause=told)
            await context.abort(grpc.StatusCode.UNAVAILABLE, told)
            raise AssertionError  # not reached: abort raises
        await service.Session(request_iterator, context)
