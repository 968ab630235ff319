"""The client for programs with an event loop: the words of `blocking`, with `await`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from bailie.client.links import AsyncGrpcLink, AsyncRestLink, sendable
from bailie.client.tensors import inputs_of
from bailie.inference.client import grpc_target, rest_url
from bailie.local.data_plane import Reached, reach
from bailie.wellknown.headers import ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from bailie.client.answers import Answer
    from bailie.client.links import Protocol


class AsyncClient:
    """Asks the models of one data plane. `address` is a URL or HOST:PORT, `timeout` the seconds that an
    answer may take; `headers` go along with each request. An asynchronous context manager;
    `close` otherwise."""

    def __init__(
        self,
        address: str,
        *,
        protocol: Protocol = "rest",
        timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self._reached: Reached | None = None
        self._headers = sendable(headers)
        self._link: AsyncRestLink | AsyncGrpcLink
        if protocol == "rest":
            self._link = AsyncRestLink(rest_url(address), timeout)
        else:
            self._link = AsyncGrpcLink(grpc_target(address), timeout)

    @classmethod
    async def connect(
        cls,
        namespace: str | None = None,
        *,
        kubeconfig: Path | str | None = None,
        state_dir: Path | str | None = None,
        **options: Any,
    ) -> Self:
        """Returns a client of a namespace's data plane, found as `bailie infer` finds it: in a running
        `bailie up`, else by the kubeconfig. `options` are those of the class. A port that has to be
        forwarded is open until `close`.

        Raises:
            LocalError, ApiError: See `local.data_plane.reach`.
        """
        reached = await reach(namespace, kubeconfig, state_dir)
        made = cls(reached.address, **options)
        made._reached = reached
        return made

    def model(self, name: str, *, sticky: bool = False) -> AsyncModelClient:
        """Returns the model of this name. A sticky one asks the version that answered it before."""
        return AsyncModelClient(self._link, name, self._headers, sticky=sticky)

    async def close(self) -> None:
        """Closes the connections."""
        await self._link.close()
        if self._reached is not None:
            self._reached.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncModelClient:
    """One model of a data plane. Made by `AsyncClient.model`."""

    def __init__(
        self, link: AsyncRestLink | AsyncGrpcLink, name: str, headers: Mapping[str, str], *, sticky: bool
    ) -> None:
        self.name = name
        self._link = link
        self._headers = dict(headers)
        self._sticky = sticky

    async def infer(
        self,
        data: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends an array (or nested lists), a dict of arrays, or a data frame; returns the model's answer.

        Raises:
            InferenceError: The data plane or the server said no.
            ServerUnreachable: The data plane does not answer.
            TypeError, ValueError: The data have no form in the protocol.
        """
        sent = {**self._headers, **sendable(headers)}
        answer = await self._link.infer(self.name, inputs_of(data, parameters), sent)
        if self._sticky and answer.route:
            self._headers[ROUTE] = answer.route
        return answer

    async def ready(self) -> bool:
        """Tells whether the model is ready. Raises InferenceError (no such model), ServerUnreachable."""
        return await self._link.ready(self.name, self._headers)

    async def metadata(self) -> dict[str, Any]:
        """Returns `name`, `platform`, `inputs` and `outputs`, as far as the server knows them.

        Raises:
            InferenceError, ServerUnreachable: As `infer`.
        """
        return await self._link.metadata(self.name, self._headers)
