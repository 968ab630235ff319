"""Notes which models are answering requests, where the next process of this server finds it.

A model's code can end the server's process in an inference (`os._exit`, a crash in native code), and nobody
is there to say which model did. So each model that has requests under way has its name in a file, which this
process changes in memory: the kernel keeps the file when the process ends, however it ends. The next process
tells the agent what it finds there (agent/suspects.py). A note takes less than a microsecond, and no call of
the system.

Used by `start` and `bailie_models`, under the Python of MLServer's environment. Models in parallel workers
are not noted: their end is not the server's.
"""

from __future__ import annotations

import functools
import json
import logging
import mmap
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

if TYPE_CHECKING or __name__.startswith("bailie."):
    from bailie.mlserver.bailie_files import new_file, put_text, read_plain
else:
    from bailie_files import new_file, put_text, read_plain

TABLE = ".under-way"
"""In the models' folder, as the next file."""
FILE = ".was-under-way.json"
"""Requests by model at the end of the last process. The agent knows the name, too."""
_PLACES = 256
_PLACE_BYTES = 512
"""A number of requests, and the name of a model with zeros behind it."""
_NUMBER_BYTES = 4
log = logging.getLogger("mlserver")


class RequestsUnderWay:
    """The requests under way by model. More models than there are places have none."""

    def __init__(self) -> None:
        """Begins without a file: nothing is noted before `open`."""
        self._table: mmap.mmap | None = None
        self._lock = threading.Lock()  # each model begins and ends requests in a thread of its own
        self._numbers: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._free = list(range(_PLACES))

    def open(self, models: Path) -> None:
        """Tells what the last process left, and begins to note. A full disk is no reason to stop."""
        try:
            _tell(models)
            self._table = _new_table(models / TABLE)
        except OSError as error:
            log.warning("Requests under way are not noted: %s", error)

    def close(self) -> None:
        """Forgets the requests under way: the process ends because it was told to."""
        with self._lock:
            if self._table is not None:
                self._table[:] = bytes(len(self._table))
                self._table = None

    def counted(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Returns a method of a model whose calls are noted while they run."""

        @functools.wraps(method)
        async def noted(*arguments: Any, **named: Any) -> Any:
            self._add(name, 1)
            try:
                return await method(*arguments, **named)
            finally:
                self._add(name, -1)

        return noted

    def counted_stream(
        self, name: str, method: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        """Returns a method of a model whose streams are noted while they run."""

        @functools.wraps(method)
        async def noted(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            self._add(name, 1)
            try:
                async for each in method(*arguments, **named):
                    yield each
            finally:
                self._add(name, -1)

        return noted

    def _add(self, name: str, more: int) -> None:
        with self._lock:
            before = self._numbers.get(name, 0)
            number = self._numbers[name] = before + more
            if not number:
                del self._numbers[name]
            if self._table is not None:
                self._note(self._table, name, number, begins=not before)

    def _note(self, table: mmap.mmap, name: str, number: int, *, begins: bool) -> None:
        if begins and self._free:
            place = self._places[name] = self._free.pop() * _PLACE_BYTES
            room = _PLACE_BYTES - _NUMBER_BYTES
            table[place + _NUMBER_BYTES : place + _PLACE_BYTES] = name.encode()[:room].ljust(room, b"\0")
        found = self._places.get(name)
        if found is not None:
            table[found : found + _NUMBER_BYTES] = number.to_bytes(_NUMBER_BYTES, "little")
            if not number:
                self._free.append(self._places.pop(name) // _PLACE_BYTES)


def _tell(models: Path) -> None:
    found = was_under_way(models / TABLE)
    if found:
        log.error("the last process ended while these models were answering requests: %s", found)
    put_text(models / FILE, json.dumps(found))


def was_under_way(table: Path) -> dict[str, int]:
    """Returns the requests by model that a process has left in its file; none where there is no such file."""
    try:
        left = read_plain(table, _PLACES * _PLACE_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.warning("Requests that were under way cannot be read: %s", error)
        return {}
    found = {}
    for place in range(0, len(left), _PLACE_BYTES):
        name = left[place + _NUMBER_BYTES : place + _PLACE_BYTES].rstrip(b"\0").decode(errors="replace")
        if name and (number := int.from_bytes(left[place : place + _NUMBER_BYTES], "little")):
            found[name] = number
    return found


def _new_table(path: Path) -> mmap.mmap:
    """Returns the memory of a new file that has all of its blocks.

    On a full disk a write to a block that is missing would end the process.
    """
    new = path.with_name(f"{path.name}.new")
    file = new_file(new, 0o600)
    try:
        os.posix_fallocate(file, 0, _PLACES * _PLACE_BYTES)
        table = mmap.mmap(file, _PLACES * _PLACE_BYTES)
    finally:
        os.close(file)
    os.replace(new, path)  # noqa: PTH105 - says that it replaces
    return table


UNDER_WAY = RequestsUnderWay()
"""Of this process."""
