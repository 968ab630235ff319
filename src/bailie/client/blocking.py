"""The client for programs without an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from bailie.client.links import GrpcLink, RestLink, sendable
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


class Client:
    """Asks the models of one data plane. `address` is a URL or HOST:PORT, `timeout` the seconds that an
    answer may take; `headers` go along with each request. A context manager; `close` otherwise."""

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
        self._link: RestLink | GrpcLink
        if protocol == "rest":
            self._link = RestLink(rest_url(address), timeout)
        else:
            self._link = GrpcLink(grpc_target(address), timeout)

    @classmethod
    def connect(
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
        # In a thread of its own: notebooks have a running event loop in this one.
        with ThreadPoolExecutor(max_workers=1) as threads:
            reached = threads.submit(asyncio.run, reach(namespace, kubeconfig, state_dir)).result()
        made = cls(reached.address, **options)
        made._reached = reached
        return made

    def model(self, name: str, *, sticky: bool = False) -> ModelClient:
        """Returns the model of this name. A sticky one asks the version that answered it before."""
        return ModelClient(self._link, name, self._headers, sticky=sticky)

    def close(self) -> None:
        """Closes the connections."""
        self._link.close()
        if self._reached is not None:
            self._reached.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ModelClient:
    """One model of a data plane. Made by `Client.model`."""

    def __init__(
        self, link: RestLink | GrpcLink, name: str, headers: Mapping[str, str], *, sticky: bool
    ) -> None:
        self.name = name
        self._link = link
        self._headers = dict(headers)
        self._sticky = sticky

    def infer(
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
        answer = self._link.infer(self.name, inputs_of(data, parameters), sent)
        if self._sticky and answer.route:
            self._headers[ROUTE] = answer.route
        return answer

    def ready(self) -> bool:
        """Tells whether the model is ready. Raises InferenceError (no such model), ServerUnreachable."""
        return self._link.ready(self.name, self._headers)

    def metadata(self) -> dict[str, Any]:
        """Returns `name`, `platform`, `inputs` and `outputs`, as far as the server knows them.

        Raises:
            InferenceError, ServerUnreachable: As `infer`.
        """
        return self._link.metadata(self.name, self._headers)
