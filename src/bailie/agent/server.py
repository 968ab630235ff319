"""The inference server of this replica, through the Open Inference Protocol and its repository extension.

`loading` loads and unloads, `health` looks at readiness and the index. Load and unload go over gRPC, whose
codes tell a server that refuses from one that ends or answers nobody. Every server names the exception of a
model that raises there; over REST an MLServer of somebody else's image may answer without a cause. All other
calls are REST. Every call has a deadline; a failure is a ServerError or, for looks, a value.
"""

from __future__ import annotations

import asyncio
import enum
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import grpc
import httpx2

from bailie._gen import inference_pb2, inference_pb2_grpc
from bailie.agent.errors import ServerError
from bailie.inference.bodies import Fetched, TooLong, fetch
from bailie.inference.trust import trusted
from bailie.lifecycle.signature import MOST_BYTES, Signature, bounded, read_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer: an index of 10,000 models has about 1 MiB."""
LOOK_SECONDS = 2.0
"""How long a look waits for an answer."""
INDEX_SECONDS = 30.0
"""How long the index of a server with very many models may take."""
_UNLOAD_SECONDS = 120.0
_WAIT_STEP_SECONDS = 0.1
_WATCH_SECONDS = 1.0
_CONNECT_SECONDS = 3.0
_REASONS = {
    grpc.StatusCode.NOT_FOUND: "ModelNotFound",
    grpc.StatusCode.FAILED_PRECONDITION: "ModelFileMissing",
    grpc.StatusCode.INVALID_ARGUMENT: "ServerLoadError",
}
_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # A new channel gets a new connection: without this it shares that of a server that died.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Health(enum.Enum):
    """The health of the server, as one look found it."""

    READY = "ready"
    UNREADY = "unready"
    """The server answers that it is not ready: one of its models is not, or is being loaded."""
    BUSY = "busy"
    """The server runs but does not answer in time; a load in progress keeps it from that."""
    GONE = "gone"
    """Nothing listens."""


@dataclass(frozen=True, slots=True)
class Index:
    """The names that are loaded and ready, and why others are loaded but not ready, where the server says it.

    Our MLServer says it of a model that hangs, in the state UNKNOWN. Reasons in other states are of no
    interest: Triton gives one for each model that it has unloaded.
    """

    ready: frozenset[str] = frozenset()
    troubles: Mapping[str, str] = field(default_factory=dict)


class InferenceServer:
    """A client of one server. An async context manager."""

    def __init__(self, host: str, *, http_port: int, grpc_port: int) -> None:
        self.condemned = ""
        """Why the server must be restarted: a load keeps it from answering anybody. Empty: it need not."""
        self.connections = 0
        """How many were made over HTTP. While there is no new one, the server's process is the same."""
        self.loading = 0
        """How many models it is loading now: MLServer may answer nothing else meanwhile."""
        base = f"http://{host}:{http_port}"
        hooks = {"request": [self._trace]}
        self._http = httpx2.AsyncClient(
            base_url=base, trust_env=False, verify=trusted(base), event_hooks=hooks
        )
        self._target = f"{host}:{grpc_port}"
        self._name = f"the inference server at {host}:{http_port}"
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        await self._disconnect()

    async def _trace(self, request: httpx2.Request) -> None:
        request.extensions["trace"] = self._count

    async def _count(self, event: str, _: object) -> None:
        self.connections += event == "connection.connect_tcp.complete"

    async def health(self) -> Health:
        """Looks once."""
        try:
            response = await self._ask("GET", "/v2/health/ready", LOOK_SECONDS)
        except httpx2.ConnectError:
            self.condemned = ""
            return Health.GONE
        except httpx2.HTTPError:
            return Health.BUSY
        self.condemned = ""
        return Health.READY if response.is_success else Health.UNREADY

    async def wait_until_up(self, seconds: float) -> None:
        """Waits until it answers on both ports. Raises ServerError (`ServerNotReady`)."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._answers():  # noqa: ASYNC110 - another process's state
                    await asyncio.sleep(_WAIT_STEP_SECONDS)
                while not await self._reached():
                    await self._disconnect()
        except TimeoutError as error:
            raise ServerError(
                "ServerNotReady", f"{self._name} did not answer within {seconds:.0f} s"
            ) from error

    async def _reached(self) -> bool:
        """Says whether gRPC gets through in a time that is long for a server that answers over HTTP."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connected().channel_ready()
        except TimeoutError:
            return False
        return True

    async def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    async def _answers(self) -> bool:
        try:
            return (await self._ask("GET", "/v2/health/live", LOOK_SECONDS)).is_success
        except httpx2.HTTPError:
            return False

    async def index(self, seconds: float = INDEX_SECONDS) -> Index:
        """Reads the repository's index. Raises ServerError (`ServerUnavailable`)."""
        try:
            response = await self._ask("POST", "/v2/repository/index", seconds, json={})
            if not response.is_success:
                raise ServerError("ServerUnavailable", f"{self._name} gave no index: HTTP {response.status}")
            return _index(json.loads(response.content))
        except (httpx2.HTTPError, ValueError, RecursionError) as error:
            raise ServerError("ServerUnavailable", f"{self._name} gave no index: {_text(error)}") from error
        except (AttributeError, KeyError, TypeError) as error:
            raise ServerError("ServerUnavailable", f"{self._name} gave an index that is none") from error

    async def _ask(self, method: str, path: str, seconds: float, **options: Any) -> Fetched:
        return await fetch(self._http, method, path, most=_LONGEST_ANSWER, seconds=seconds, **options)

    async def load(self, name: str, seconds: float, blocked_seconds: float) -> None:
        """Loads a model and checks that it is ready. Raises ServerError.

        `ServerBlocked`: the server has answered no request for `blocked_seconds`, and is to be restarted.
        Call it after `wait_until_up`: a connection that fails from here on is a server that died.
        """
        self.loading += 1
        try:
            await self._load(name, seconds, blocked_seconds)
        finally:
            self.loading -= 1
        if not await self._model_ready(name):
            raise ServerError(
                "ModelNotReady",
                f"{self._name} loaded {name} but does not say that it is ready, as MLServer does when load() "
                "of the model does not return True",
            )

    async def _load(self, name: str, seconds: float, blocked_seconds: float) -> None:
        request = inference_pb2.RepositoryModelLoadRequest(model_name=name)
        call = self._stub().RepositoryModelLoad(request, timeout=seconds)
        try:
            await self._outlive(call, name, blocked_seconds)
            await call
        except grpc.aio.AioRpcError as error:
            raise self._load_error(name, error, seconds) from error
        finally:
            call.cancel()

    async def _outlive(self, call: Any, name: str, blocked_seconds: float) -> None:
        """Waits for a call's end. gRPC does not always notice that a server died under it: we look too."""
        done, now = asyncio.Event(), asyncio.get_running_loop().time
        answered = now()
        call.add_done_callback(lambda _: done.set())
        while not done.is_set():
            try:
                async with asyncio.timeout(_WATCH_SECONDS):
                    await done.wait()
            except TimeoutError:
                health = await self.health()
                if health is Health.GONE and not done.is_set():
                    raise self._crash(name, "nothing listens any more") from None
                answered = answered if health is Health.BUSY else now()
                if now() - answered >= blocked_seconds:
                    raise self._blocked(name, blocked_seconds) from None

    def _blocked(self, name: str, seconds: float) -> ServerError:
        self.condemned = f"it has answered no request for {seconds:.0f} s while it loads {name}"
        return ServerError("ServerBlocked", f"{self._name} answers no request: {self.condemned}")

    def _crash(self, name: str, details: str) -> ServerError:
        self._channel = (
            None  # a channel whose server died can keep later calls waiting; the next is a new one
        )
        return ServerError("ServerCrashed", f"{self._name} stopped while it was loading {name} ({details})")

    def _load_error(self, name: str, error: grpc.aio.AioRpcError, seconds: float) -> ServerError:
        code, details = error.code(), (error.details() or "").strip()
        if code is grpc.StatusCode.UNAVAILABLE:
            return self._crash(name, details)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerError(
                "LoadTimeout", f"the inference server did not load {name} within {seconds:.0f} s"
            )
        reason = _REASONS.get(code, "ServerLoadError")
        return ServerError(reason, f"the inference server could not load {name}: {details or code.name}")

    async def _model_ready(self, name: str) -> bool:
        try:
            response = await self._ask("GET", f"/v2/models/{name}/ready", INDEX_SECONDS)
        except httpx2.HTTPError:
            return False
        return response.is_success

    async def signature(self, name: str) -> Signature | None:
        """Returns the tensors of a model; None where the server does not answer in time, or fails.

        The signature is empty where the server describes no tensors, or too many.
        """
        path = f"/v2/models/{name}"
        try:
            answer = await fetch(self._http, "GET", path, most=MOST_BYTES, seconds=LOOK_SECONDS)
        except TooLong:
            return Signature()
        except httpx2.HTTPError:
            return None
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None
        return bounded(read_signature(answer.content)) or Signature()

    async def unload(self, name: str) -> None:
        """Unloads a model; the absence of the model is no error. Raises ServerError, `ServerUnavailable` when
        nothing listens: then the model is not in memory either."""
        if await self.health() is Health.GONE:
            raise ServerError("ServerUnavailable", f"{self._name} is not there to unload {name}")
        request = inference_pb2.RepositoryModelUnloadRequest(model_name=name)
        try:
            await self._stub().RepositoryModelUnload(request, timeout=_UNLOAD_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return
            gone = error.code() is grpc.StatusCode.UNAVAILABLE
            reason = "ServerUnavailable" if gone else "UnloadFailed"
            raise ServerError(reason, f"{self._name} could not unload {name}: {error.details()}") from error

    async def catch_up(self) -> None:
        """Returns when the server has taken up all earlier requests, which an answer to a later one shows.

        A server that does not answer in time is not waited for.
        """
        await self.health()
        try:
            await self._stub().ServerLive(inference_pb2.ServerLiveRequest(), timeout=LOOK_SECONDS)
        except grpc.aio.AioRpcError:
            return

    def _stub(self) -> Any:  # generated stubs carry no types
        return inference_pb2_grpc.GRPCInferenceServiceStub(self._connected())

    def _connected(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_CHANNEL_OPTIONS)
        return self._channel


def _index(items: Any) -> Index:
    stated = [(str(item["name"]), item.get("state"), item.get("reason")) for item in items]
    return Index(
        frozenset(name for name, state, _ in stated if state == "READY"),
        {name: str(reason) for name, state, reason in stated if state == "UNKNOWN" and reason},
    )


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
