"""The embedded API as a child process of the supervisor: started, watched, restarted, ended.

It gets a pipe as standard input and ends when that closes, so it never outlives the supervisor; the next one
starts it again on the same database and port.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from bailie.kube.backoff import Backoff
from bailie.kube.client import Client
from bailie.kube.errors import ApiError
from bailie.local.errors import DeadlinePassed, LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.local.settings import LocalSettings
    from bailie.local.state import StateDirectory

log = structlog.get_logger(__name__)

START_SECONDS = 20.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
BACK_OFF = Backoff(initial=0.5, maximum=15.0)


class ApiProcess:
    """One embedded API. `start` returns when it answers; `keep` restarts it whenever it ends."""

    def __init__(self, settings: LocalSettings, state: StateDirectory) -> None:
        self._settings = settings
        self._state = state
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def start(self) -> None:
        """Starts the process and waits until it answers.

        Raises:
            LocalError: The process ended; the message has its last words.
            DeadlinePassed: The process does not answer after `START_SECONDS`.
        """
        self._state.api_kubeconfig.unlink(missing_ok=True)
        offset = self._state.api_log.stat().st_size if self._state.api_log.exists() else 0
        with self._state.api_log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._answering(offset)
        except TimeoutError as error:
            raise DeadlinePassed(
                f"the API has not answered within {START_SECONDS:g} s", hint=f"see {self._state.api_log}"
            ) from error

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "bailie", "apiserver", "--state-dir", str(self._state.root)]
        return [*command, "--port", str(self._settings.api_port), "--log-level", self._settings.log_level]

    async def _answering(self, offset: int) -> None:
        while True:
            if self._process is None or self._process.returncode is not None:
                raise LocalError(self._said(offset), hint=f"see {self._state.api_log}")
            if self._state.api_kubeconfig.exists():
                with suppress(ApiError):
                    async with Client.from_kubeconfig(self._state.api_kubeconfig) as client:
                        await client.call("GET", "/version")
                    return
            await asyncio.sleep(POLL_SECONDS)

    def _said(self, offset: int) -> str:
        with self._state.api_log.open(errors="replace") as log:
            log.seek(offset)
            lines = [line.strip() for line in log if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (errors or lines or ["the API ended without a word"])[-1]

    async def keep(self, tell: Callable[[str], None]) -> None:
        """Restarts the API whenever it ends, until `stop`.

        `tell` hears why it does not start, once for each reason, and an empty text when it has started again.
        """
        failures, trouble = 0, ""
        while self._process is not None:
            code = await self._process.wait()
            if self._stopping:
                return
            if not failures:
                log.warning("API ended, starting it again", code=code)
            await asyncio.sleep(BACK_OFF.delay(failures + 1))
            before, trouble = trouble, await self._begun()
            failures = failures + 1 if trouble else 0
            if trouble != before:
                tell(trouble)

    async def _begun(self) -> str:
        """Starts the process; returns why that failed, or nothing."""
        try:
            await self.start()
        except LocalError as error:
            return error.message
        return ""

    async def stop(self) -> None:
        """Ends the process, by force after `STOP_SECONDS`."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
