"""A file descriptor that is read and written without blocking: one end of a pipe, or a terminal.

Used by `commands`. A terminal says that its other side has closed by an error, which is an end here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 32 * 1024


class Descriptor:
    """Owns the descriptor until `close`."""

    def __init__(self, number: int) -> None:
        os.set_blocking(number, False)
        self._number = number
        self._is_open = True

    async def read(self) -> bytes:
        """Returns the next bytes; nothing at the end."""
        while self._is_open:
            try:
                return os.read(self._number, _CHUNK)
            except BlockingIOError:
                await self._wait(asyncio.get_running_loop().add_reader)
            except OSError:
                return b""
        return b""

    async def write(self, data: bytes) -> None:
        """Writes everything, or up to the point where nobody reads any more."""
        while data and self._is_open:
            try:
                data = data[os.write(self._number, data) :]
            except BlockingIOError:
                await self._wait(asyncio.get_running_loop().add_writer)
            except OSError:
                return

    def resize(self, columns: int, rows: int) -> None:
        """Sets the size of a terminal; does nothing to a pipe."""
        if self._is_open:
            with suppress(OSError):
                fcntl.ioctl(self._number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def _wait(self, add: Callable[..., None]) -> None:
        """Waits until the descriptor can be read or written. A second one is made for the wait: the loop
        knows one reader and one writer for each number, and a terminal is both."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        number = os.dup(self._number)
        try:
            add(number, ready.set)
            await ready.wait()
        finally:
            loop.remove_reader(number)
            loop.remove_writer(number)
            os.close(number)

    def close(self) -> None:
        """Closes the descriptor, once."""
        if self._is_open:
            self._is_open = False
            os.close(self._number)
