"""An event loop of a model's own, in a thread of its own, in which all of the model's code runs.

However long a model takes there, the server's event loop goes on: it answers the requests for the other
models. `bailie_models` gives each model such a loop, under the Python of MLServer's environment; nothing here
needs MLServer.

The loop is asyncio's, not uvloop's: each model has one, and asyncio's takes 24 KiB, uvloop's 300.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

ASK_SECONDS = 1.0
"""A call that goes on for longer than this has its loop checked: the loop must run a callback."""
STUCK_TICKS = 5


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a stream, by an error or without one."""

    error: Exception | None = None


class LoopClosed(Exception):  # noqa: N818 - a state: the model is not there any more
    """The refusal of a call: the model's loop takes no more calls."""


@dataclass(eq=False, slots=True)
class _Call:
    """One call of a model's code: made in the `caller` loop, run as a task in the model's loop."""

    work: Callable[[], Awaitable[Any]]
    caller: asyncio.AbstractEventLoop
    begun: float
    done: asyncio.Future[Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    task: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Begins the call as a task. Runs in the model's loop."""
        self.task = asyncio.get_running_loop().create_task(self._run(), context=self.context)
        self.task.add_done_callback(self._finish)

    async def _run(self) -> Any:
        """Runs the work, unless its caller does not wait for it any more.

        An exception that would end the thread, such as SystemExit, fails the call instead.
        """
        if self.done.done():
            return None
        try:
            return await self.work()
        except (Exception, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise RuntimeError(f"{type(error).__name__} was raised: {error}") from error

    def _finish(self, task: asyncio.Task[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: the server ends
            self.caller.call_soon_threadsafe(self._settle, task)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        error = RuntimeError("the model cancelled it") if task.cancelled() else task.exception()
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())

    def cancel(self) -> None:
        """Cancels the call's task. Runs in the model's loop."""
        if self.task is not None:
            self.task.cancel()


class ModelLoop:
    """The loop and its thread, which does not keep the process from ending.

    Every method is called from one other loop, the server's; only the work of a call runs in the model's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.silent_ticks = 0
        """For how many ticks in a row the loop has not run the callback that it was given."""
        self._loop = asyncio.SelectorEventLoop()
        self._calls: dict[_Call, None] = {}  # in the order in which they were made
        self._closing = False
        self._asked = False
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=f"model {name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there are too many threads
            self._loop.close()
            raise

    def _live(self) -> None:
        # Whatever ends it, the model or `abandon`, ends this thread alone.
        with (
            contextlib.suppress(SystemExit, KeyboardInterrupt),
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
        ):
            runner.run(self._ended.wait())

    @property
    def ended(self) -> bool:
        """Whether the loop was closed, and its thread has come to its end."""
        return self._closing and not self._thread.is_alive()

    @property
    def stuck(self) -> bool:
        """Whether the loop was closed, and its thread does not come to its end."""
        return self._closing and self.silent_ticks >= STUCK_TICKS

    @property
    def waiting(self) -> int:
        """How many calls have not ended."""
        return len(self._calls)

    async def run(self, work: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
        """Awaits `work(*arguments)` in the model's loop, with the caller's context variables.

        Where the caller is cancelled, so is the call, and its end is not waited for. Raises LoopClosed after
        `close`.
        """
        caller = asyncio.get_running_loop()
        if caller is self._loop:
            return await work(*arguments, **named)
        call = _Call(lambda: work(*arguments, **named), caller, caller.time(), caller.create_future())
        if self._closing or not self._post(call.begin):
            raise LoopClosed(f"{self.name} is not there any more")
        self._calls[call] = None
        try:
            return await call.done
        except asyncio.CancelledError:
            self._post(call.cancel)
            raise
        finally:
            del self._calls[call]
            self._end_if_idle()

    async def stream(
        self, work: Callable[[AsyncIterator[Any]], AsyncIterator[Any]], received: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        """Yields what `work(received)` yields in the model's loop, where all of it runs in one task.

        `received` is iterated in the caller's loop. The model is at most one item ahead.
        """
        caller = asyncio.get_running_loop()
        answers: asyncio.Queue[Any] = asyncio.Queue(1)

        async def there() -> None:
            async for answer in work(_received_from(received, caller)):
                await _in(caller, answers.put(answer))

        async def produce() -> None:
            try:
                await self.run(there)
            except Exception as error:
                await answers.put(_End(error))
            else:
                await answers.put(_End())

        producing = caller.create_task(produce())
        try:
            while not isinstance(answer := await answers.get(), _End):
                yield answer
            if answer.error is not None:
                raise answer.error
        finally:
            producing.cancel()

    def tick(self) -> None:
        """Checks whether the loop still runs callbacks; to be called once in a second."""
        if self._asked or not self._thread.is_alive():
            self.silent_ticks += 1
            return
        self.silent_ticks = 0
        oldest = next(iter(self._calls), None)
        late = oldest is not None and oldest.caller.time() - oldest.begun >= ASK_SECONDS
        if late or self._closing:
            self._asked = True  # before it may be answered
            self._post(self._answer)

    def _answer(self) -> None:
        self._asked = False

    def close(self) -> None:
        """Lets the calls that are under way come to their end, and then ends the thread."""
        self._closing = True
        self._end_if_idle()

    def abandon(self, error: Exception) -> None:
        """Fails all calls, and ends the thread as soon as it can be: Python code at once, C code when it
        comes back. A call that has not begun never will."""
        for call in self._calls:
            if not call.done.done():
                call.done.set_exception(error)
        self.close()
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(SystemExit)
            )

    def _end_if_idle(self) -> None:
        if self._closing and not self._calls:
            self._post(self._ended.set)

    def _post(self, function: Callable[[], None]) -> bool:
        with contextlib.suppress(RuntimeError):  # the loop has been closed by its thread, which ends
            self._loop.call_soon_threadsafe(function)
            return True
        return False


async def _in(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


async def _received_from(items: AsyncIterator[Any], loop: asyncio.AbstractEventLoop) -> AsyncIterator[Any]:
    async def following() -> Any:
        return await anext(items, _End())

    while not isinstance(item := await _in(loop, following()), _End):
        yield item
