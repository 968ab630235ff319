"""Starts a supervisor in the background and waits for it; ends a running one. For `bailie up` and `down`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bailie.local.errors import DeadlinePassed, LocalError, NotRunning
from bailie.local.state import Lock, StateDirectory
from bailie.workloads.node.records import kill_orphans, started_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from bailie.local.settings import LocalSettings
    from bailie.local.state import SupervisorRecord

LAST_LINES = 12
POLL_SECONDS = 0.05
ENDS_SECONDS = 2.0
"""From the record of a failure to the end of the process that cannot go on."""


def start(settings: LocalSettings, *, timeout: float, progress: Callable[[tuple[str, ...]], None]) -> None:
    """Starts `bailie up` in a session of its own and returns when it says that it is ready.

    A user who interrupts the wait does not want the `bailie up`: it is ended, however far it is.

    Raises:
        X: It is not ready after `timeout` seconds; it goes on running.
    """
    from bailie.local.supervisor import check_installation  # noqa: PLC0415 - only to fail before a process is made

    state = StateDirectory(settings.state_directory)
    check_installation(settings)
    with Lock(state):
        before = state.supervisor()
    process: subprocess.Popen[bytes] | None = None
    with _ended_as_interrupted():
        try:
            with interrupts_held(), state.supervisor_log.open("ab") as log:
                process = subprocess.Popen(
                    _command(settings, timeout),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            _wait(state, process, before, timeout=timeout, progress=progress)
        except KeyboardInterrupt:
            if process is not None:
                process.terminate()
                process.wait()
            raise


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Raises the KeyboardInterrupt of a SIGINT or SIGTERM after the block, not in it.

    Raised while `Popen` returns, the exception would leave a process behind that nobody knows of.
    """
    interrupted = False

    def note(_: int, __: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = {number: handler for number, handler in before.items() if callable(handler)}
    for number in held:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Makes SIGTERM raise KeyboardInterrupt within the block, so that the supervisor ends, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(settings: LocalSettings, timeout: float) -> list[str]:
    command = [sys.executable, "-m", "bailie", "up", "--state-dir", str(settings.state_directory)]
    if settings.namespaces is not None:
        command += ["--namespaces", ",".join(settings.namespaces)]
    command += [
        "--api-port",
        str(settings.api_port),
        "--log-level",
        settings.log_level,
        "--timeout",
        str(timeout),
    ]
    if not settings.default_servers:
        command.append("--no-default-servers")
    if settings.scheduler_replicas is not None:
        command += ["--scheduler-replicas", str(settings.scheduler_replicas)]
    if settings.monitoring:
        command.append("--monitoring")
    return command


def _wait(
    state: StateDirectory,
    process: subprocess.Popen[bytes],
    before: SupervisorRecord | None,
    *,
    timeout: float,
    progress: Callable[[tuple[str, ...]], None],
) -> None:
    deadline = time.monotonic() + timeout + 5
    while time.monotonic() < deadline:
        record = state.supervisor()
        if record is not None and record != before and record.pid == process.pid:
            progress(record.waiting_for)
            if record.phase == "ready":
                return
            if record.phase == "failed":
                raise _failure(process)(record.message, hint=f"the whole log is in {state.supervisor_log}")
        if process.poll() is not None:
            raise _ended(state, process.returncode)
        time.sleep(POLL_SECONDS)
    state.prepare()  # a record cannot be written on a full disk, which raises a sentence that says so
    raise DeadlinePassed(f"`bailie up` said nothing for {timeout:g} s", hint=f"log: {state.supervisor_log}")


def _failure(process: subprocess.Popen[bytes]) -> type[LocalError]:
    """Returns why the start failed: a process that ended has failed for good, else it may still become
    ready."""
    try:
        process.wait(ENDS_SECONDS)
    except subprocess.TimeoutExpired:
        return DeadlinePassed
    return LocalError


def _ended(state: StateDirectory, code: int) -> LocalError:
    """Returns the last error and hint that the process has logged, else the end of its log."""
    lines = state.supervisor_log.read_text(errors="replace").splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    log = f"log: {state.supervisor_log}"
    if not said:
        return LocalError("\n".join([f"`bailie up` ended with code {code}:", *lines[-LAST_LINES:]]), hint=log)
    hints = [line.removeprefix("hint: ") for line in lines[-1:] if line.startswith("hint: ")]
    return LocalError(said[-1], hint=next(iter(hints), log))


def nothing_runs(state: StateDirectory) -> NotRunning:
    """Says that no supervisor runs there, and which processes it left if it was killed."""
    left = len(started_by(state.root))
    if not left:
        return NotRunning(f"nothing runs in {state.root}", hint="start with `bailie up`")
    return NotRunning(
        f"`bailie up` of {state.root} was killed; {left} of its processes go on without it",
        hint="`bailie up` takes them over, `bailie down` ends them",
    )


def stop(state: StateDirectory, *, timeout: float, progress: Callable[[tuple[str, ...]], None]) -> None:
    """Ends the supervisor of a state directory and everything that it runs.

    Processes that a dead supervisor left are ended.

    Raises:
        NotRunning: Nothing runs there.
        DeadlinePassed: It has not ended after `timeout` seconds.
    """
    found = state.running()
    deadline, told = time.monotonic() + timeout, 0
    while state.running():
        if time.monotonic() > deadline:
            raise DeadlinePassed(
                f"the supervisor (pid {told or 'unknown'}) has not ended after {timeout:g} s",
                hint=f"see {state.supervisor_log}",
            )
        told = _ask_to_end(state.holder(), told)
        progress(("the end of the pods: Envoys and servers end their requests first",))
        time.sleep(POLL_SECONDS)
    progress(())
    if not kill_orphans(state.root, ()) and not found:
        raise nothing_runs(state)


def _ask_to_end(holder: int | None, told: int) -> int:
    """Sends SIGTERM to a holder that has not been told yet; returns the pid of the last one that was."""
    if holder is None or holder == told:
        return told
    with suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    return holder
