"""The `proxy` subresource of Pods: a GET that the API server passes on to a port of the pod.

Called by `handlers.py` with an authorised request. Commands reach pods this way on a laptop as on a cluster,
where no process outside can reach a pod's address. The pod is a stranger: its answer goes on piece by piece,
ends at a size and at a time, and ends when the caller goes.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, NamedTuple

import httpx2
import orjson
import structlog

from kubeapi import errors
from kubeapi.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from kubeapi.storage.store import Obj

log = structlog.get_logger(__name__)
_SILENT_SECONDS = 10.0


class Limits(NamedTuple):
    """The limits of an answer that is passed on: bytes, and seconds from the request to the last byte."""

    size: int = 32 * 1024 * 1024
    seconds: float = 60.0


class Door(NamedTuple):
    """The pod and the port that a path names: `pod`, `pod:9006` or `http:pod:9006`."""

    pod: str
    port: int


def door_of(name: str) -> Door:
    """Reads the name in the path.

    Raises:
        ApiError: the name has another form, or asks for TLS.
    """
    scheme, pod, port = {1: ["http", name, "80"], 2: ["http", *name.split(":")]}.get(
        name.count(":") + 1, name.split(":")[:3]
    )
    if (
        scheme not in {"http", ""}
        or not port.isascii()
        or not port.isdigit()
        or not 0 < int(port[:6]) < 65536
    ):
        raise errors.bad_request(f"invalid pod request {name!r}")
    return Door(pod, int(port))


def address_of(pod: Obj, given: Path | None) -> str:
    """Returns the pod's address, if it is the one that the node gave the pod.

    `given` is the node's list of addresses. The status alone is not believed: a user who may write
    `pods/status` could have the API ask any address of this machine.

    Raises:
        ApiError: the pod has no address, or the address is not its own.
    """
    meta, address = pod["metadata"], (pod.get("status") or {}).get("podIP")
    if not address:
        raise errors.bad_request(f'pod "{meta["name"]}" has no address')
    if address != _addresses(given).get(f"{meta['namespace']}/{meta['name']}"):
        raise errors.bad_request(
            f'the address {address} in the status of pod "{meta["name"]}" is not the one that the node gave '
            "this pod, so nothing is asked there; the node corrects the status when the pod changes"
        )
    return str(address)


def _addresses(given: Path | None) -> dict[str, str]:
    try:
        found = orjson.loads(given.read_bytes()) if given else {}
        return dict(found["pods"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class PodProxy:
    """One request as an ASGI response."""

    def __init__(self, url: str, limits: Limits) -> None:
        """Takes as `url` the whole address on the pod."""
        self._url = url
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the pod's answer, or that it gave none; ends when the caller is gone."""
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(scope, receive, send))
            leaving = tasks.create_task(_when_gone(receive, asking.cancel))
            asking.add_done_callback(lambda _: leaving.cancel())

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        try:
            async with (
                asyncio.timeout(self._limits.seconds),
                _client() as http,
                http.stream("GET", self._url, headers={"accept-encoding": "identity"}) as answer,
            ):
                self._refuse_announced(answer)
                begun = True
                await self._pass_on(answer, send)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, errors.ApiError) as error:
            refusal = self._refusal(error)
            if not begun:
                await codec.error_response(refusal)(scope, receive, send)
                return
            # The response has begun, so that all that can be said is its end before the end: the connection
            # is closed, and the client sees that the answer is not whole.
            log.warning("answer of a pod cut off", url=self._url, why=refusal.message)

    def _refuse_announced(self, answer: httpx2.Response) -> None:
        length = answer.headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._limits.size:
            raise self._too_long()

    async def _pass_on(self, answer: httpx2.Response, send: Send) -> None:
        kept = ("content-type", "content-length", "content-encoding")
        headers = {name: answer.headers[name] for name in kept if name in answer.headers}
        fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        fields += [] if "content-type" in headers else [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": fields})
        left = self._limits.size
        async for part in answer.aiter_raw():
            left -= len(part)
            if left < 0:
                raise self._too_long()
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _too_long(self) -> errors.ApiError:
        text = (
            f"the pod answers more than the {self._limits.size} bytes that are passed on; ask the pod itself"
        )
        return errors.ApiError(502, "BadGateway", text)

    def _refusal(self, error: Exception) -> errors.ApiError:
        if isinstance(error, errors.ApiError):
            return error
        if isinstance(error, TimeoutError):
            text = f"the pod has not answered within {self._limits.seconds:g} s"
            return errors.ApiError(504, "Timeout", f"error trying to reach service: {text}")
        text = f"error trying to reach service: {error or type(error).__name__}"
        return errors.ApiError(503, "ServiceUnavailable", text)


def _client() -> httpx2.AsyncClient:
    """Returns a client of plain HTTP. It trusts no certificate: to read all of the machine's takes 20 ms, in
    which the API would answer nobody."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.AsyncClient(timeout=_SILENT_SECONDS, trust_env=False, follow_redirects=False, verify=nobody)


async def _when_gone(receive: Receive, call: Callable[[], object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call()
