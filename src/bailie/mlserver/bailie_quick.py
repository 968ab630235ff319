"""Which models are asked in the server's own event loop: those of runtimes that are known to be quick.

The way to a model's own loop and back takes 0.1 ms of processor time, a third of the time that MLServer takes
for a small request. `bailie_models` asks here which models need no loop of their own. A quick model that
turns out to be slow gets its own loop from then on; a quick model that keeps the whole server from answering
leaves a mark in its folder, and gets its own loop after the server's restart.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Method = Callable[..., Awaitable[Any]]

RUNTIMES = frozenset({"mlserver_catboost", "mlserver_lightgbm", "mlserver_sklearn", "mlserver_xgboost"})
"""One call of one library, in a moment, unless a pipeline has a user's code in it."""
SLOW_SECONDS = 0.1
MOST_SLOW = 3
"""A model that has taken SLOW_SECONDS so many times in a row is slow."""
BLOCKED_SECONDS = 5.0
"""A model that takes longer than this in the server's loop leaves its mark."""
MARK = ".bailie-own-loop"

log = logging.getLogger("mlserver")


class Quick:
    """The quick models of one process, and a thread that sees which of them keeps its event loop."""

    def __init__(self) -> None:
        self._under_way: tuple[Path | None, float] | None = None
        self._watched = False

    def suits(self, model: Any) -> bool:
        """Says whether a model is to be asked in the server's loop; batches are gathered in a model's own."""
        mark = _mark(model)
        marked = mark is not None and mark.exists()
        runtime = type(model).__module__.partition(".")[0]
        return runtime in RUNTIMES and model.settings.max_batch_size <= 1 and not marked

    def shared(self, model: Any, method: Method, apart: Method) -> Method:
        """Returns a method that calls `method` for as long as that is quick, and then `apart`."""
        mark, slow = _mark(model), 0
        self._watch_from_now_on()

        @functools.wraps(method)
        async def call(*arguments: Any, **named: Any) -> Any:
            nonlocal slow
            if slow >= MOST_SLOW:
                return await apart(*arguments, **named)
            begun = time.perf_counter()
            self._under_way = mark, begun
            try:
                return await method(*arguments, **named)
            finally:
                self._under_way = None
                slow = slow + 1 if time.perf_counter() - begun >= SLOW_SECONDS else 0

        return call

    def _watch_from_now_on(self) -> None:
        if not self._watched:
            self._watched = True
            threading.Thread(target=self._watch, name="bailie-quick", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(1.0)
            under_way = self._under_way
            if under_way is not None and time.perf_counter() - under_way[1] >= BLOCKED_SECONDS:
                _leave(under_way[0])


def _mark(model: Any) -> Path | None:
    source = model.settings._source  # noqa: SLF001 - where MLServer read the settings, nothing else says it
    return Path(source).parent / MARK if source else None


def _leave(mark: Path | None) -> None:
    if mark is None or mark.exists():
        return
    log.error("model in %s keeps the server from answering; it gets a loop of its own", mark.parent)
    try:
        mark.touch()
    except OSError as error:
        log.warning("mark for a loop of its own not made: %s", error)
