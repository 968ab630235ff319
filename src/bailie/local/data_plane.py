"""How a program of this machine reaches the data plane of a namespace: one way for commands and for clients.

Used by `cli.infer`, `client.blocking` and `client.asynchronous`. Where the Service has an address that leads
there, that is the way; else a port is forwarded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bailie.local.connection import connect, running_kubeconfig
from bailie.local.errors import NoAddress
from bailie.local.port_forward import PortForward, kubectl_program, open_port_forward
from bailie.local.status import inference_address
from bailie.wellknown import names, ports


@dataclass(frozen=True, slots=True)
class Reached:
    """`address` is HOST:PORT of the data plane, for REST and gRPC, until `close`."""

    address: str
    forward: PortForward | None = None

    def close(self) -> None:
        """Ends the forwarded port, if there is one."""
        if self.forward is not None:
            self.forward.close()


async def reach(
    namespace: str | None, kubeconfig: Path | str | None, state_dir: Path | str | None
) -> Reached:
    """Returns the way to a namespace's data plane, by the same API that the commands ask.

    Raises:
        LocalError: Nothing runs in `state_dir`, or no way leads to a data plane of the namespace.
        ApiError: The API refuses or does not answer.
    """
    config, state = (None if each is None else Path(each) for each in (kubeconfig, state_dir))
    async with connect(config, state) as client:
        place = namespace or client.namespace
        try:
            return Reached(await inference_address(client, place))
        except NoAddress:
            config = config or running_kubeconfig(state)
    forward = await asyncio.to_thread(
        open_port_forward,
        names.MESH,
        ports.MESH,
        namespace=place,
        kubeconfig=config,
        program=kubectl_program(),
    )
    return Reached(forward.address, forward)
