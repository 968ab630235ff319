"""Changes MLServer so that no model keeps another one waiting: each has an event loop of its own.

MLServer calls models in the event loop that answers every request. A model that computes or sleeps there
without giving it back keeps every other model from answering, and the server looks dead. Here a model is
imported, loaded, asked and unloaded in a loop of its own (`bailie_loops`). Only models of runtimes that are
known to be quick are asked in the server's loop (`bailie_quick`).

A model whose loop runs no callback for `hung_seconds` is not ready any more: its callers get 503 with the
reason, and the repository's index says it, for the agent, which has the model loaded again.

Used by `start`, under the Python of MLServer's environment, in the server's process and in its workers.
"""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import inspect
import logging
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from mlserver import MLModel
from mlserver.context import model_context
from mlserver.errors import MLServerError
from mlserver.handlers import get_custom_handlers
from mlserver.registry import SingleModelRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.mlserver.bailie_loops import LoopClosed, ModelLoop
    from bailie.mlserver.bailie_quick import Quick
    from bailie.mlserver.bailie_under_way import UNDER_WAY
else:
    from bailie_loops import LoopClosed, ModelLoop
    from bailie_quick import Quick
    from bailie_under_way import UNDER_WAY

UNAVAILABLE = 503
NOT_RESPONDING = "ModelNotResponding"
SECONDS_VARIABLE = "BAILIE_HUNG_SECONDS"
UNLOAD_SECONDS = 10.0
"""A model that has not unloaded by then is left to itself."""
MOST_WAITING = 100
"""So many requests may wait for a model that keeps its loop. Envoy sends a replica ten times as many: the
requests for one model must not use up the places of those for other models."""
MOST_STUCK = 3
"""A version that has so many threads that do not end is not loaded again, for nothing else bounds them."""

TELL_SECONDS = 10
"""A process that has not checked its models for so long writes into its log where each thread is."""
SWITCH_SECONDS = 0.001
"""So long Python lets a thread go on while others wait, not five times as long: beside a model that computes
in Python, requests for another model take 0.6 ms instead of 8."""

_OF_THE_SERVER = re.compile(r"(starlette|fastapi)\.")
log = logging.getLogger("mlserver")


class UnavailableError(MLServerError):  # type: ignore[misc] # MLServer is not installed where types are checked
    """A request for a model that does not answer at this moment; `reason` is a token for programs."""

    def __init__(self, message: str, reason: str = "ModelNotLoaded") -> None:
        super().__init__(message, UNAVAILABLE)
        self.reason = reason


class OwnLoop:
    """A model's own loop. `trouble`: why the model is not ready, empty while no cause is known here.

    A quick model has no thread while it is asked in the server's loop: there may be thousands of such models.
    """

    def __init__(self, name: str, hung_seconds: int, quick: Quick) -> None:
        self.loop = ModelLoop(name)
        self._quick = quick
        self._hung_seconds = hung_seconds
        self._in_use = True
        self._closed = False
        self.model: Any = None
        self.trouble = ""

    def adopt(self, model: Any) -> None:
        """Moves the model's code into its loop; `predict` last, for hooks of MLServer wrap it before."""
        self.model, load, unload = model, model.load, model.unload

        async def load_there() -> Any:
            quick, predict = self._quick.suits(model), model.predict
            apart = functools.partial(self._apart, predict)
            counted = UNDER_WAY.counted(self.loop.name, predict)
            model.predict = self._quick.shared(model, counted, apart) if quick else self._moved(predict)
            if _overrides(model, "predict_stream") and not quick:
                model.predict_stream = functools.partial(self._stream, model.predict_stream)
            loaded = await self.loop.run(load)
            if not loaded:
                raise MLServerError(
                    f"load() of {type(model).__name__} returned {loaded!r}; it returns True when the model "
                    "can answer, and MLServer sends no request to another one"
                )
            if quick:
                self._in_use = False
                self.loop.close()
            return loaded

        async def unload_there() -> Any:
            try:
                if not self._in_use:
                    return await unload()
                return await asyncio.wait_for(self.loop.run(unload), UNLOAD_SECONDS)
            except (TimeoutError, LoopClosed):
                log.warning("model '%s' computes and does not unload; it is left to itself", model.name)
                return True
            finally:
                self.close()

        model.load, model.unload = load_there, unload_there
        if _overrides(model, "metadata"):
            model.metadata = self._moved(model.metadata)
        for _, method in get_custom_handlers(model):
            self._move_handler(model, method)
        model.own_loop = self

    def _move_handler(self, model: Any, method: Any) -> None:
        """Moves a custom handler into the model's loop, unless it takes a Request.

        A Request is read from its connection, which belongs to the server's loop.
        """
        signature = inspect.signature(method, eval_str=True)
        types = [getattr(each.annotation, "__module__", "") for each in signature.parameters.values()]
        if not inspect.iscoroutinefunction(method) or any(map(_OF_THE_SERVER.match, types)):
            return
        moved = self._moved(method)
        # FastAPI reads the types here, and would look for their names in this module.
        moved.__signature__ = signature
        setattr(model, method.__name__, moved)

    async def _apart(self, method: Any, *arguments: Any, **named: Any) -> Any:
        """Asks a model that is not quick any more."""
        if not self._in_use:
            self.loop, self._in_use = ModelLoop(self.loop.name), True
        return await self._moved(method)(*arguments, **named)

    def _moved(self, method: Any) -> Any:
        method = UNDER_WAY.counted(self.loop.name, method)  # where it runs, also when its caller has left

        @functools.wraps(method)
        async def moved(*arguments: Any, **named: Any) -> Any:
            if not self._in_use:
                return await method(*arguments, **named)
            self._refuse()
            try:
                return await self.loop.run(method, *arguments, **named)
            except LoopClosed as error:
                raise UnavailableError(str(error)) from error

        return moved

    async def _stream(self, method: Any, payloads: Any) -> Any:
        self._refuse()
        method = UNDER_WAY.counted_stream(self.loop.name, method)
        try:
            async for answer in self.loop.stream(method, payloads):
                yield answer
        except LoopClosed as error:
            raise UnavailableError(str(error)) from error

    def _refuse(self) -> None:
        """Raises UnavailableError where no more requests may wait."""
        if self.trouble:
            raise UnavailableError(self.trouble, NOT_RESPONDING)
        if self.loop.silent_ticks and self.loop.waiting >= MOST_WAITING:
            raise UnavailableError(
                f"Model {self.loop.name} is computing, and {self.loop.waiting} requests wait for it",
                "TooManyRequestsWait",
            )

    def close(self) -> None:
        """Ends the loop of a model that is not there any more."""
        self._closed = True
        self.loop.close()

    @property
    def ended(self) -> bool:
        """Whether the model is gone, and so is its thread."""
        return self._closed and self.loop.ended

    def tick(self) -> None:
        """Checks, once in a second, whether the loop still runs callbacks; gives up a model that hangs."""
        if not self._in_use:
            return
        self.loop.tick()
        if self.loop.silent_ticks < self._hung_seconds or not getattr(self.model, "ready", False):
            return
        since = time.strftime("%H:%M:%SZ", time.gmtime(time.time() - self.loop.silent_ticks))
        self.trouble = f"a request has been computing since {since}, and the model has answered nothing since"
        log.error("model '%s' does not respond: %s", self.loop.name, self.trouble)
        self.model.ready = False
        self.loop.abandon(UnavailableError(self.trouble, NOT_RESPONDING))


class OwnLoops:
    """The loops of one process. Each is checked once in a second, for as long as there are any."""

    def __init__(self, hung_seconds: int) -> None:
        self._hung_seconds = hung_seconds
        self._quick = Quick()
        self._loops: list[OwnLoop] = []
        self._looking = False

    def new(self, name: str) -> OwnLoop:
        """Returns a loop for a model. Raises MLServerError where too many of its threads have not ended."""
        stuck = sum(each.loop.stuck and each.loop.name == name for each in self._loops)
        if stuck >= MOST_STUCK:
            raise MLServerError(
                f"{stuck} threads of {name} compute without end in this server. It can be loaded when one of "
                "them has ended; the server's restart ends them all"
            )
        own = OwnLoop(name, self._hung_seconds, self._quick)
        self._loops.append(own)
        if not self._looking:
            _let_programs_be_started()
            self._look()
        return own

    def _look(self) -> None:
        self._loops = [each for each in self._loops if not each.ended]
        self._looking = bool(self._loops)
        faulthandler.cancel_dump_traceback_later()
        if self._looking:
            faulthandler.dump_traceback_later(TELL_SECONDS)
            asyncio.get_running_loop().call_later(1.0, self._look)
        for each in self._loops:
            each.tick()


def _overrides(model: Any, method: str) -> bool:
    return getattr(type(model), method) is not getattr(MLModel, method)


def trouble_of(model: Any) -> str:
    """Returns why a model is not ready; empty while no cause is known here."""
    return model.own_loop.trouble if hasattr(model, "own_loop") else ""


def hung_seconds(environ: Mapping[str, str]) -> int:
    """Returns how many seconds a model may keep its loop. The agent has the same variable, for servers."""
    text = environ.get(SECONDS_VARIABLE) or "60"
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise SystemExit(f"{SECONDS_VARIABLE} is {text!r}; it should be a whole number of seconds, 1 or more")
    return int(text)


def _let_programs_be_started() -> None:
    """Gives asyncio a watcher for the programs that models start: uvloop's policy, MLServer's, has none."""
    policy: Any = asyncio.get_event_loop_policy()
    watcher = asyncio.ThreadedChildWatcher()
    policy.get_child_watcher = lambda: watcher


def install() -> None:
    """Changes the MLServer of this process."""
    sys.setswitchinterval(SWITCH_SECONDS)
    importing, loops = asyncio.Lock(), OwnLoops(hung_seconds(os.environ))  # noqa: TID251 - this process's own

    async def load(self: Any, model_settings: Any) -> Any:
        previous, own = self._find_model(model_settings.version), loops.new(model_settings.name)

        async def make() -> Any:
            return self._model_initialiser(model_settings)

        try:
            # MLServer puts the model's folder into sys.path for the import: two at a time would mix them up.
            async with importing:
                model = await own.loop.run(make)
            own.adopt(model)
            with model_context(model_settings):
                await (self._reload_model(previous, model) if previous else self._load_model(model))
            if self._find_model(model_settings.version) is not model:
                own.close()  # a parallel worker has it
        except BaseException:
            own.close()
            raise
        return model

    SingleModelRegistry.load = load
