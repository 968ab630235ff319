"""Lets MLServer load a model beside its requests: imports and loads run in threads, not in its event loop.

MLServer calls `load` of a model in the event loop that answers every request, and libraries read models
without giving it back: for as long as that takes, no model of the server answers, and the server looks dead.
Here a load runs in a thread of its own. One that needs the event loop (it awaits something that is not there
yet, or asks for the running loop) is begun again in the loop, as MLServer does it: `await asyncio.sleep(0)`
at its beginning is enough for a load that must run in the main thread.

Used by `start`, under the Python of MLServer's environment, in the server's process and in its workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import re
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_MAIN_THREAD_ONLY = re.compile(r"event loop|async|inside a task|main thread")
"""What is said by asyncio, sniffio and signal to who calls them in another thread."""


class NeedsLoop(Exception):  # noqa: N818 - not an error: it is done in the event loop instead
    """What was begun in a thread can only be done in the event loop."""


async def in_thread(work: Callable[[], Any]) -> Any:
    """Returns what `work` returns, in a thread that nobody waits for at the end of the process.

    Cancelled, the thread goes on to its end, and what it makes is dropped.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(work)
        except Exception as raised:
            error = raised
        except BaseException as raised:
            error = RuntimeError(f"{type(raised).__name__} was raised: {raised}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server ends
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="bailie-load", daemon=True).start()
    return await done


def without_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that waits for nothing. Raises NeedsLoop when it does."""
    if not asyncio.iscoroutine(coroutine):
        raise NeedsLoop
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise NeedsLoop


def _attempted(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (RuntimeError, ValueError) as error:
        if _MAIN_THREAD_ONLY.search(str(error)):
            raise NeedsLoop from error
        raise


async def beside(work: Callable[[], Any]) -> Any:
    """Returns what a function returns, from a thread where that is possible."""
    try:
        return await in_thread(functools.partial(_attempted, work))
    except NeedsLoop:
        return work()


async def load_beside(load: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Awaits a model's `load`, in a thread where that is possible."""
    try:
        return await in_thread(functools.partial(_attempted, lambda: without_loop(load())))
    except NeedsLoop:
        return await load()


def install() -> None:
    """Changes the MLServer of this process."""
    # Only MLServer's environment has these, and Bailie's own imports this module in tests.
    from mlserver.context import model_context  # noqa: PLC0415
    from mlserver.registry import SingleModelRegistry  # noqa: PLC0415

    importing = asyncio.Lock()

    async def load(self: Any, model_settings: Any) -> Any:
        previous = self._find_model(model_settings.version)
        # MLServer puts the model's folder into sys.path for the import: two at a time would mix them up.
        async with importing:
            model = await beside(lambda: self._model_initialiser(model_settings))
        model.load = functools.partial(load_beside, model.load)
        with model_context(model_settings):
            await (self._reload_model(previous, model) if previous else self._load_model(model))
        return model

    SingleModelRegistry.load = load
