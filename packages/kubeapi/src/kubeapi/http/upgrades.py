"""The subresources of Pods that take a connection over: `exec` and `portforward`, and those that cannot be.

Called by `app.py` with an authorised `Call`. Both are spoken over WebSocket, as kubectl does since 1.31. A
plain request for one is an older kubectl, or one whose WebSocket was refused and that now hears why.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kubeapi import errors
from kubeapi.pods import commands, logs, port_forward, proxy
from kubeapi.verbs.requests import UPGRADED, is_true

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from starlette.datastructures import QueryParams
    from starlette.types import ASGIApp

    from kubeapi.http.handlers import Call
    from kubeapi.storage.store import Obj

_ATTACH = (
    "nothing can be attached to a container here: it is a process without a terminal. Read its output with "
    "`kubectl logs -f {pod}`, or start a shell beside it with `kubectl exec -it {pod} -- sh`"
)
_DEBUG = (
    "no container can be added to a running pod here. `kubectl exec -it {pod} -- sh` starts a shell with the "
    "variables and the folder of a container and the programs of this machine"
)
_NEVER = {"attach": _ATTACH, "ephemeralcontainers": _DEBUG}
_OLD = (
    "kubectl asks for the old protocol SPDY, and `kubectl {word}` is answered over WebSocket only: use "
    "kubectl 1.31 or newer, without KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false and "
    "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"
)
_WORDS = {"exec": "exec", "portforward": "port-forward"}
_LONGEST_COMMAND = 128 * 1024
SERVED = UPGRADED | {"ephemeralcontainers"}
"""The subresources that are answered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrades:
    """The answers that take a connection over. `addresses` and `node` as in `Settings`."""

    read: Callable[[Call], Obj]
    addresses: Path | None
    node: Path | None

    def answer(self, call: Call, query: QueryParams, offered: Sequence[str]) -> ASGIApp:
        """Returns the application for a WebSocket.

        Raises:
            ApiError: There is nothing at this path that speaks so, or not now.
        """
        pod = self._pod(call)
        if call.target.subresource == "portforward":
            _agreed(offered, (port_forward.PROTOCOL,))
            return port_forward.PortForward(self._connector(pod))
        command = self._command(pod, query)
        protocol = _agreed(offered, commands.PROTOCOLS)
        streams = {name: is_true(query.get(name)) for name in ("stdin", "stdout", "stderr")}
        return commands.Execution(command, commands.Wanted(**streams), self._takes_commands(), protocol)

    def refuse(self, call: Call, query: QueryParams) -> NoReturn:
        """Says why a plain request is not taken.

        Raises:
            ApiError: Always: for the reason that a WebSocket would hear, else that one is needed.
        """
        pod = self._pod(call)
        if call.target.subresource == "portforward":
            proxy.address_of(pod, self.addresses)
        else:
            self._command(pod, query)
            self._takes_commands()
        raise errors.bad_request(_OLD.format(word=_WORDS[call.target.subresource]))

    def _pod(self, call: Call) -> Obj:
        sub = call.target.subresource
        if call.resource.key != "/pods" or sub not in SERVED:
            raise errors.unknown_path()
        pod = self.read(call)
        name = pod["metadata"]["name"]
        if sub in _NEVER:
            details = {"kind": "pods", "name": name}  # kubectl looks into them unseen
            raise errors.ApiError(400, "BadRequest", _NEVER[sub].format(pod=name), details=details)
        return pod

    def _command(self, pod: Obj, query: QueryParams) -> commands.Command:
        words = tuple(query.getlist("command"))
        if not words or sum(map(len, words)) > _LONGEST_COMMAND or "\0" in "".join(words):
            raise errors.bad_request(
                f"a command needs a word, and may have {_LONGEST_COMMAND} characters, none of which is NUL"
            )
        meta = pod["metadata"]
        return commands.Command(
            namespace=meta["namespace"],
            pod=meta["name"],
            uid=meta["uid"],
            container=logs.container_of(pod, query),
            command=words,
            terminal=is_true(query.get("tty")),
        )

    def _takes_commands(self) -> Path:
        if self.node is None or not self.node.is_socket():
            why = "no node of this machine takes commands now; try again when its pods run"
            raise errors.ApiError(503, "ServiceUnavailable", why)
        return self.node

    def _connector(self, pod: Obj) -> port_forward.Connect:
        address = proxy.address_of(pod, self.addresses)

        async def connect(port: int) -> port_forward.Streams:
            return await asyncio.open_connection(address, port)

        return connect


def _agreed(offered: Sequence[str], spoken: Sequence[str]) -> str:
    for protocol in spoken:
        if protocol in offered:
            return protocol
    known, others = ", ".join(spoken), ", ".join(offered) or "nothing"
    raise errors.bad_request(f"spoken here over WebSocket: {known}; the client offers {others}")
