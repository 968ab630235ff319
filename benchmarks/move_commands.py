"""`bailie migrate …` for one namespace, run as users run it, with the seconds that each command took.

Called by `move` and `migration`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Commands:
    """The commands of one namespace. `connection` are the options that say which API they talk to."""

    def __init__(self, namespace: str, *connection: str, folder: Path | None = None) -> None:
        """Takes `folder`, in which the commands run; the caller's where it is None."""
        self._namespace, self._connection, self._folder = namespace, connection, folder
        self.seconds: dict[str, list[float]] = {}

    async def run(self, verb: str, *options: str) -> str:
        """Runs a command to its end and returns its words. Raises RuntimeError where it fails."""
        code, told = await self.ended(verb, *options)
        if code:
            raise RuntimeError(f"{verb} {' '.join(options)} ended with {code}: {told}")
        return told

    async def ended(self, verb: str, *options: str) -> tuple[int | None, str]:
        """Runs a command to its end and returns its exit code and its words."""
        started = time.monotonic()
        process = await self._start(verb, *options)
        _, told = await process.communicate()
        self.seconds.setdefault(verb, []).append(time.monotonic() - started)
        return process.returncode, told.decode()

    async def killed(self, verb: str, *options: str, after: str, further: int = 0) -> int:
        """Runs a command, kills it after a line that begins with `after`, and returns how it ended.

        `further`: so many lines after that one. Raises RuntimeError where it ended by itself before.
        """
        process = await self._start(verb, *options)
        told = [line async for line in _until(process, after)]
        assert process.stderr is not None
        told += [(await process.stderr.readline()).decode() for _ in range(further)]
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        code = await process.wait()
        if code != -signal.SIGKILL:
            raise RuntimeError(f"{verb} ended with {code} before it could be killed: {''.join(told)}")
        return code

    async def disturbed(
        self, verb: str, *options: str, after: str, by: contextlib.AbstractAsyncContextManager[object]
    ) -> tuple[int | None, str, float]:
        """Runs a command and enters `by` once it has said a line that begins with `after`.

        Returns its exit code, its words, and the seconds from then to its end.
        """
        process = await self._start(verb, *options)
        told = [line async for line in _until(process, after)]
        started = time.monotonic()
        async with by:
            _, rest = await process.communicate()
        return process.returncode, "".join(told) + rest.decode(), time.monotonic() - started

    async def _start(self, verb: str, *options: str) -> asyncio.subprocess.Process:
        words = (sys.executable, "-m", "bailie", "migrate", verb, self._namespace, *options)
        return await asyncio.create_subprocess_exec(
            *words,
            *self._connection,
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


async def _until(process: asyncio.subprocess.Process, text: str) -> AsyncIterator[str]:
    """Yields the lines of a command up to the first one that begins with the text."""
    assert process.stderr is not None
    async for line in process.stderr:
        yield line.decode()
        if line.decode().startswith(text):
            return
