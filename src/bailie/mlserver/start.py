"""Starts MLServer so that each caller behind Envoy gets a true answer to its own request.

    python start.py start FOLDER

Runs under the Python of MLServer's environment, in its image and on a laptop, in place of `mlserver`, with
the same arguments. It tells the agent which file names the runtimes look for (`bailie_filenames`) and which
models were answering when the last process ended (`bailie_under_way`), and differs in six ways:

* MLServer answers an exception of a model with a whole 500 and then raises it again (Starlette's
  ServerErrorMiddleware does), upon which uvicorn closes the connection without notice. Envoy sends the
  requests of all callers over the connections to a server: the next request, of any caller, fails, and may
  not be sent again, for it may have run. Here the exception ends once the answer is complete.
* A request for a model that is not in memory gets 503 and UNAVAILABLE, not 404 or 400: the caller asked for a
  model that exists, which the server does not have at this moment (it has just started, or the model was
  unloaded). Commands to the repository are answered as before.
* REST answers a model's exception as gRPC does: with the exception's own words, in the form of all other
  errors. Both bound the words and leave out stack traces, which name the server's files and libraries.
* Each model has an event loop of its own (`bailie_models`). A model that hangs is not ready, with the reason.
* REST requests may have binary tensors (`bailie_binary`).
* What the body of a request may cost has bounds (`bailie_bodies`).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import resource
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]

log = logging.getLogger("mlserver")
ELSEWHERE = "it is being loaded, or goes to another server"
IDLE_SECONDS = 600
"""Longer than Envoy keeps an idle connection (gateway/clusters.py), also for a process that was suspended:
such a process looks at the clock before it reads the requests that have arrived."""
BAD_REQUEST, FAILED = 400, 500
MOST_WORDS = 400
"""Characters of an exception's text in an answer. gRPC sends it in a header, and clients refuse headers above
8 KiB."""
_TRACE = re.compile(
    r"\s*(traceback \(most recent call last\)|stack ?trace:|\[bt\] \().*", re.IGNORECASE | re.DOTALL
)


def settled(application: Application) -> Application:
    """Returns the ASGI application without exceptions after a complete answer; they are logged.

    An exception before that is raised as before: there the connection must be closed.
    """
    log = logging.getLogger("uvicorn.error")

    async def run(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        complete = False

        async def watched(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await application(scope, receive, watched)
        except Exception:
            if not complete:
                raise
            log.exception("Exception in ASGI application; it was answered, the connection stays open")

    return run


def keep_connections() -> None:
    """Makes MLServer serve a settled application whose bodies have bounds and may have binary tensors, and
    keep idle connections for IDLE_SECONDS."""
    from bailie_binary import BinaryRequest  # type: ignore[import-not-found] # noqa: PLC0415
    from bailie_bodies import (  # type: ignore[import-not-found] # noqa: PLC0415
        BodyRoom,
        with_whole_bodies,
    )
    from mlserver import server  # noqa: PLC0415
    from mlserver.rest import RESTServer  # noqa: PLC0415

    class Settled(RESTServer):  # type: ignore[misc] # MLServer is not installed where types are checked
        def _get_config(self) -> Any:
            config = super()._get_config()
            config.app = settled(with_whole_bodies(config.app, BodyRoom(), BinaryRequest))
            config.timeout_keep_alive = IDLE_SECONDS
            return config

    server.RESTServer = Settled


def refuse_long_requests() -> None:
    """Makes MLServer refuse requests of more parts than any needs before it looks at each part."""
    from bailie_bodies import MODELS, PARSED, BadBody, check, check_message  # noqa: PLC0415
    from mlserver.errors import MLServerError  # noqa: PLC0415
    from mlserver.grpc import servicers  # noqa: PLC0415
    from mlserver.rest import app, responses  # noqa: PLC0415
    from starlette.exceptions import HTTPException  # noqa: PLC0415

    class RefusedError(HTTPException):  # FastAPI lets this class alone pass
        """The refusal of a request."""

    class Checked(app.Request):  # type: ignore[misc]
        async def json(self) -> Any:
            found = self.scope.get(PARSED) or await super().json()
            if self.url.path.startswith(MODELS):
                try:
                    check(found)
                except BadBody as error:
                    raise RefusedError(error.status, str(error)) from error
            return found

    async def answer(_: object, error: RefusedError) -> Any:
        return responses.Response(status_code=error.status_code, content={"error": error.detail})

    class CheckedConverter(servicers.ModelInferRequestConverter):  # type: ignore[misc]
        @classmethod
        def to_types(cls, message: Any) -> Any:
            try:
                check_message(message)
            except BadBody as error:
                raise MLServerError(str(error), BAD_REQUEST) from error
            return super().to_types(message)

    app.Request, servicers.ModelInferRequestConverter = Checked, CheckedConverter
    app._EXCEPTION_HANDLERS[RefusedError] = answer  # noqa: SLF001 - MLServer has no other way


def tell_what_is_not_loaded() -> None:
    """Makes MLServer answer 503 and UNAVAILABLE for models that it does not have."""
    from bailie_models import (  # type: ignore[import-not-found] # noqa: PLC0415
        UNAVAILABLE,
        UnavailableError,
        trouble_of,
    )
    from grpc import StatusCode  # noqa: PLC0415
    from mlserver import server  # noqa: PLC0415
    from mlserver.errors import ModelNotFound  # noqa: PLC0415
    from mlserver.grpc import utils  # noqa: PLC0415
    from mlserver.rest import app, responses  # noqa: PLC0415

    loaded = _registry_of_ready_models()

    class Told(server.ModelRepositoryHandlers):  # type: ignore[misc]
        """The index, with the reason of each model that is not ready."""

        async def _to_item(self, model_settings: Any) -> Any:
            item = await super()._to_item(model_settings)
            with contextlib.suppress(ModelNotFound):
                item.reason = trouble_of(await self._model_registry.get_model(model_settings.name))
            return item

    class Served(server.DataPlane):  # type: ignore[misc]
        def __init__(self, settings: Any, model_registry: Any) -> None:
            super().__init__(settings=settings, model_registry=loaded(model_registry))

    async def answer(_: object, error: UnavailableError) -> Any:
        body = {"error": str(error), "reason": error.reason}
        return responses.Response(status_code=UNAVAILABLE, content=body)

    server.DataPlane, server.ModelRepositoryHandlers = Served, Told
    app._EXCEPTION_HANDLERS[UnavailableError] = answer  # noqa: SLF001 - MLServer has no other way
    utils.STATUS_CODE_MAPPING[UNAVAILABLE] = StatusCode.UNAVAILABLE


def _registry_of_ready_models() -> Any:
    """Returns a class around MLServer's registry for which a model that is not ready is not there."""
    from bailie_models import NOT_RESPONDING, UnavailableError, trouble_of  # noqa: PLC0415
    from mlserver.errors import ModelNotFound, ModelNotReady  # noqa: PLC0415

    class Loaded:
        """A registry for requests: a model that is not ready is not there."""

        def __init__(self, registry: Any) -> None:
            self._registry = registry

        async def get_models(self) -> Any:
            return await self._registry.get_models()

        async def get_model(self, name: str, version: str | None = None) -> Any:
            try:
                model = await self._registry.get_model(name, version)
            except ModelNotFound as error:
                raise UnavailableError(f"{error}; {ELSEWHERE}") from error
            if trouble := trouble_of(model):
                raise UnavailableError(trouble, NOT_RESPONDING)
            if not model.ready:
                raise UnavailableError(f"{ModelNotReady(name, version)}; {ELSEWHERE}")
            return model

    return Loaded


def words(error: BaseException) -> str:
    """Returns what callers are told of an exception: one line, without a stack trace.

    The class stands before the text, as MLServer has it where a model is in a parallel worker. Errors of
    MLServer itself are sentences without it.
    """
    text = str(error)
    if not hasattr(error, "status_code"):
        text = f"{type(error).__module__}.{type(error).__name__}: {text}"
    text = " ".join(_TRACE.sub("", text).split())
    return text if len(text) <= MOST_WORDS else f"{text[: MOST_WORDS - 1].rstrip()}…"


class Retold:
    """Raises the exceptions of a block as another class, but for those of the class `kept`."""

    def __init__(self, retold: type[Exception], kept: type[Exception]) -> None:
        self._retold = retold
        self._kept = kept

    def __enter__(self) -> None:
        """Does nothing: the end of the block matters."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raises the exception that callers are told of."""
        if isinstance(error, Exception) and not isinstance(error, self._kept):
            raise self._retold(error) from error


def tell_what_models_raise() -> None:
    """Makes MLServer answer with the words of a model's exception, by REST and by gRPC."""
    from bailie_models import UnavailableError  # noqa: PLC0415
    from mlserver import server  # noqa: PLC0415
    from mlserver.errors import MLServerError  # noqa: PLC0415
    from mlserver.rest import app, responses  # noqa: PLC0415

    class RaisedError(MLServerError):  # type: ignore[misc]
        def __init__(self, error: Exception) -> None:
            super().__init__(words(error), error.status_code if isinstance(error, MLServerError) else FAILED)

    class Telling(server.DataPlane):  # type: ignore[misc]
        async def infer(self, *arguments: Any, **named: Any) -> Any:
            with retold:
                return await super().infer(*arguments, **named)

        async def infer_stream(self, *arguments: Any, **named: Any) -> Any:
            with retold:
                async for answer in super().infer_stream(*arguments, **named):
                    yield answer

    class TellingLoads(server.ModelRepositoryHandlers):  # type: ignore[misc]
        async def load(self, name: str) -> Any:
            with retold_load:
                return await super().load(name)

    async def answer_raised(_: object, error: RaisedError) -> Any:
        if error.status_code >= FAILED:
            log.error("a model raised an exception", exc_info=error)
        return responses.Response(status_code=error.status_code, content={"error": str(error)})

    async def answer_other(_: object, error: Exception) -> Any:
        return responses.Response(status_code=FAILED, content={"error": words(error)})

    retold, server.DataPlane = Retold(RaisedError, kept=UnavailableError), Telling
    # Without its class an exception such as `KeyError(110)` would be told as `110`.
    retold_load, server.ModelRepositoryHandlers = Retold(RaisedError, kept=MLServerError), TellingLoads
    app._EXCEPTION_HANDLERS.update({RaisedError: answer_raised, Exception: answer_other})  # noqa: SLF001


def allow_many_files() -> None:
    """Raises the limit of open files to the highest allowed: each model's loop has three files open.

    Where the system refuses, the limit stays as it is.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def leave_out_batches() -> None:
    """Keeps MLServer's command from importing the client of `mlserver infer`, which nobody asks for here.

    With Triton's client and aiohttp it takes a fifth of the start's processor time, and 15 MiB.
    """
    client = types.ModuleType("mlserver.batch_processing")
    client.__dict__.update(process_batch=None, CHOICES_TRANSPORT=[])
    sys.modules[client.__name__] = client


def main() -> None:
    """Runs MLServer's own command, changed as the module says."""
    # Imported here: only MLServer's environment has it, and Bailie's own imports this module in tests.
    from bailie_filenames import tell_filenames  # type: ignore[import-not-found] # noqa: PLC0415
    from bailie_under_way import UNDER_WAY  # type: ignore[import-not-found] # noqa: PLC0415

    leave_out_batches()
    from mlserver.cli import main as command  # noqa: PLC0415

    allow_many_files()
    for folder in sys.argv[2:3]:
        tell_filenames(Path(folder))
        UNDER_WAY.open(Path(folder))
    keep_connections()
    refuse_long_requests()
    tell_what_is_not_loaded()
    tell_what_models_raise()
    sys.argv[0] = "mlserver"
    try:
        command()
    finally:
        UNDER_WAY.close()


if __name__ in {"__main__", "__mp_main__"}:  # the server, and each of its parallel workers
    gc.disable()  # until MLServer is imported: nothing of that is garbage
    # Beside this file, where Bailie is not installed.
    from bailie_models import install

    install()
    gc.freeze()
    gc.enable()

if __name__ == "__main__":
    main()
