"""The `proxy` subresource of Pods: a GET that the API server passes on to a port of the pod.

Called by `handlers.py` with an authorised request. `bailie explain` asks schedulers this way, on a laptop as
on a cluster, where nobody outside can reach a pod's address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx

from bailie.apiserver import codec, errors

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from bailie.apiserver.store import Obj

_SECONDS = 10.0


class Door(NamedTuple):
    """Which pod and which of its ports a path names: `pod`, `pod:9006` or `http:pod:9006`."""

    pod: str
    port: int


def door_of(name: str) -> Door:
    """Reads the name in the path.

    Raises:
        ApiError: it is no such name, or asks for TLS.
    """
    scheme, pod, port = {1: ["http", name, "80"], 2: ["http", *name.split(":")]}.get(
        name.count(":") + 1, name.split(":")[:3]
    )
    if scheme not in {"http", ""} or not port.isdecimal():
        raise errors.bad_request(f"invalid pod request {name!r}")
    return Door(pod, int(port))


class PodProxy:
    """One request as an ASGI response."""

    def __init__(self, pod: Obj, port: int, path: str, query: str) -> None:
        """Raises ApiError for a pod without an address."""
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise errors.bad_request(f'pod "{pod["metadata"]["name"]}" has no address')
        self._url = f"http://{address}:{port}/{path}" + (f"?{query}" if query else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends what the pod answers, or that it does not."""
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as http:
                answer = await http.get(self._url)
        except httpx.TransportError as error:
            text = f"error trying to reach service: {error or type(error).__name__}"
            await codec.error_response(errors.ApiError(503, "ServiceUnavailable", text))(scope, receive, send)
            return
        media = answer.headers.get("content-type", "text/plain").encode()
        await send(
            {
                "type": "http.response.start",
                "status": answer.status_code,
                "headers": [(b"content-type", media), (b"content-length", str(len(answer.content)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": answer.content})
