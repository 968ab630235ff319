"""Ports of the machine itself (`hostPort`): refuses a start when a stranger has the port.

Called before a container starts. Sockets of our own pods are no strangers: Envoys of one namespace share
their port. Nothing is bound here, so nothing can race with the container's own bind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.workloads.node import proc
from bailie.workloads.node.pods import STATE_VARIABLE

if TYPE_CHECKING:
    from bailie.workloads.node.pods import ProcessSpec


def conflict(spec: ProcessSpec) -> str | None:
    """Returns a sentence about the first port that another process has; None when all are free."""
    ours = spec.env.get(STATE_VARIABLE)
    for port in spec.host_ports:
        for listener in proc.listeners(port.ip, port.port):
            if listener.pid is None:
                return f"port {port.port} on {port.ip} is in use by a process of another user"
            if ours is None or proc.variable(listener.pid, STATE_VARIABLE) != ours:
                who = f"{proc.command(listener.pid)} (pid {listener.pid})"
                return f"port {port.port} on {port.ip} is in use by {who}"
    return None
