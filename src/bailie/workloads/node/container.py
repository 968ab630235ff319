"""One container of a pod: starts its process, probes it, starts it again with back-off, until told to stop.

Run by the pod worker, which turns `state` into the Pod's status at every `changed`. Never raises for a
mistake in a manifest or program: that is the state. Cancelling `run` leaves the process alive, for the next
node to adopt; `stop` ends it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bailie.kube.clock import stamp, utc_now
from bailie.kube.events import EventType
from bailie.workloads.node import hooks, host_ports, logs, probing
from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.pods import ProcessSpec, process
from bailie.workloads.node.probing import Probing
from bailie.workloads.node.process import Exit, Process
from bailie.workloads.node.programs import missing_program
from bailie.workloads.node.records import ProcessRecord, kill_left
from bailie.workloads.node.status import ContainerState, Running, Terminated, Waiting, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.setup import PodSetup

log = structlog.get_logger(__name__)
_UNKNOWN_EXIT = 137
"""The code shown for a process whose own was lost with the node that started it, as in Kubernetes."""
_LEFT_SECONDS = 2.0
"""Time for a process to end after a hook that has used up the grace period, as in Kubernetes."""


class ContainerRunner:
    """Keeps one container running."""

    def __init__(
        self,
        container: Manifest,
        setup: PodSetup,
        changed: Callable[[], None],
        *,
        once: bool = False,
    ) -> None:
        """Takes `once` for init containers: `run` returns after an end with code 0."""
        self._container = container
        self._setup = setup
        self._changed = changed
        self._once = once
        self._stop = asyncio.Event()
        self._doomed = asyncio.Event()  # the process of now is to end
        self._grace = 0.0
        self._running: Process | None = None
        self._place: ProcessSpec | None = None
        self._complaint = ""  # why the node itself ended the process
        metadata = setup.pod["metadata"]
        self.key = (str(metadata["uid"]), str(container["name"]))
        self.log = logs.log_path(
            setup.tools.settings.logs_dir, metadata["namespace"], metadata["name"], container["name"]
        )
        old = _status_of(setup.pod, container["name"])
        self.state = ContainerState(
            name=container["name"],
            image=container.get("image", ""),
            restarts=int(old.get("restartCount", 0)),
        )
        self._was_ready = bool(old.get("ready"))
        self._was_running = "running" in (old.get("state") or {})

    @property
    def process(self) -> Process | None:
        """The process of now; None while none runs."""
        return self._running

    def stop(self, grace: float) -> None:
        """Makes `run` end the process within `grace` seconds and return; asked again, less grace counts."""
        if not self._stop.is_set():
            self._grace = grace
            self._stop.set()
            self._doomed.set()
        elif self._running and grace < self._grace:
            self._grace = grace
            self._running.end_soon(grace)

    async def run(self, survivor: ProcessRecord | None = None) -> None:
        """Runs until stopped, beginning with the process of an earlier node when there is one."""
        failures = 0
        clock = asyncio.get_running_loop().time
        adopted = self._adopt(survivor) if survivor else None
        if adopted and probing.runs_commands(self._container):
            spec = await self._spec(self._container)
            self._place = None if isinstance(spec, ConfigError) else spec
        if adopted is None and self._was_running:
            self._count_lost()
        while adopted or not self._stop.is_set():  # one that lives must be ended, even when told so before
            begun = clock()
            failure = await self._run_once(adopted)
            if self._stop.is_set() or (
                self._once and isinstance(failure, Terminated) and not failure.exit_code
            ):
                self._set(current=failure, ready=False, started=False)
                return
            adopted = None
            long = clock() - begun >= self._setup.tools.settings.back_off_reset
            failures = 1 if long or self._was_killed(failure) else failures + 1
            await self._back_off(failure, failures)

    def _was_killed(self, failure: Waiting | Terminated) -> bool:
        """Says whether a healthy process was killed: that is no crash loop, so the restart is not delayed
        further."""
        killed = isinstance(failure, Terminated) and failure.signal > 0 and not self._complaint
        return killed and self.state.ready and "readinessProbe" in self._container

    async def _run_once(self, adopted: Process | None) -> Waiting | Terminated:
        started = adopted or await self._start()
        return started if isinstance(started, Waiting) else self._terminated(await self._live(started))

    async def _back_off(self, failure: Waiting | Terminated, failures: int) -> None:
        settings = self._setup.tools.settings
        delay = settings.back_off.delay(failures)
        if isinstance(failure, Terminated):
            cause = f"{ended(failure)}: {failure.message}" if failure.message else ended(failure)
            waiting = Waiting("CrashLoopBackOff", f"back-off {delay:g}s restarting: {cause}")
            self._set(current=waiting, last=failure, ready=False, started=False)
            self._say(EventType.WARNING, "BackOff", cause)
        else:
            delay = min(delay, settings.config_retry)
            self._set(current=failure, ready=False, started=False)
            self._say(EventType.WARNING, failure.reason, failure.message)
        try:
            await asyncio.wait_for(self._stop.wait(), delay)
        except TimeoutError:
            restarts = self.state.restarts + isinstance(failure, Terminated)
            self.state = replace(self.state, restarts=restarts)

    async def _start(self) -> Process | Waiting:
        """Starts a process; a reason to wait where that is not possible now."""
        spec = await self._spec(self._container)
        if isinstance(spec, ConfigError):
            return Waiting("CreateContainerConfigError", spec.message)
        self._place = spec
        problem = probing.problem(self._container, self._setup.ip)
        if problem:
            return Waiting("CreateContainerConfigError", problem)
        missing = missing_program(spec)
        if missing:
            return Waiting("CreateContainerError", missing)
        taken = host_ports.conflict(spec)
        if taken:
            return Waiting("HostPortConflict", taken)
        return self._spawn(spec)

    async def beside(self, words: Sequence[str]) -> ProcessSpec | ConfigError:
        """Returns a command with the variables, the folder and the mounts of the container."""
        return await self._spec({**self._container, "command": [*words], "args": []})

    async def _spec(self, container: Manifest) -> ProcessSpec | ConfigError:
        context = await self._setup.context()
        return context if isinstance(context, ConfigError) else process(self._setup.pod, container, context)

    def _spawn(self, spec: ProcessSpec) -> Process | Waiting:
        try:
            Path(spec.cwd).mkdir(parents=True, exist_ok=True)
            logs.begin(self.log)
            started = Process.start(spec, self.log)
        except OSError as error:
            return Waiting("RunContainerError", f"{error.filename or spec.argv[0]}: {error.strerror}")
        except ValueError as error:  # no operating system takes a null character, or a name with `=`
            return Waiting("RunContainerError", f"{spec.argv[0]!r}: {error}")
        now = stamp(utc_now())
        self._record(started, now)
        log.info("container started", **self._labels(), pid=started.pid)
        self._say(EventType.NORMAL, "Started", f"as process {started.pid}")
        begun = not self._container.get("startupProbe")
        ready = begun and not self._container.get("readinessProbe")
        self._set(current=Running(started.pid, now), started=begun, ready=ready)
        return started

    def _record(self, started: Process, now: str) -> None:
        records = self._setup.tools.records
        try:
            records.write(
                ProcessRecord(
                    pod_uid=self.key[0],
                    container=self.key[1],
                    pid=started.pid,
                    start_time=started.start_time or 0,
                    boot=records.boot,
                    fixed=self._setup.fixed,
                    started_at=now,
                    restarts=self.state.restarts,
                )
            )
        except OSError as error:  # a full disk: it runs all the same, only nobody could adopt it
            log.warning("record not written", **self._labels(), error=str(error))

    def _adopt(self, record: ProcessRecord) -> Process | None:
        adopted = Process.adopt(record.pid, record.start_time)
        if adopted is None:
            return None
        log.info("container adopted", **self._labels(), pid=record.pid)
        ready = self._was_ready or not self._container.get("readinessProbe")
        started = self._was_ready or not self._container.get("startupProbe")
        self.state = replace(self.state, restarts=record.restarts)
        self._set(current=Running(record.pid, record.started_at), started=started, ready=started and ready)
        return adopted

    def _count_lost(self) -> None:
        """Counts a run that an earlier node began and that ended while no node was there."""
        lost = Terminated(exit_code=_UNKNOWN_EXIT, message="ended while the node was away")
        self.state = replace(self.state, last=lost, restarts=self.state.restarts + 1)

    async def _live(self, running: Process) -> Exit:
        """Stays until the process has ended, probing it and ending it when told to."""
        self._complaint, self._running = "", running
        if not self._stop.is_set():
            self._doomed.clear()
        try:
            async with asyncio.TaskGroup() as group:
                beside = (
                    group.create_task(self._probe().run(self.state.started, self.state.ready)),
                    group.create_task(self._end_when_told(running)),
                )
                ending = await running.wait()
                for task in beside:
                    task.cancel()
        except asyncio.CancelledError:
            running.release()
            raise
        self._running = None
        self._setup.tools.records.remove(self.key)
        left = kill_left(self.key)
        log.info("container ended", **self._labels(), pid=running.pid, code=ending.code, left=left)
        return ending

    async def _end_when_told(self, running: Process) -> None:
        await self._doomed.wait()
        self._say(EventType.NORMAL, "Killing", self._complaint or "asked to end")
        await self._pre_stop()
        await running.terminate(self._grace)

    async def _pre_stop(self) -> None:
        """Runs the hook; its time is part of the grace, of which a little is left for the process."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        trouble = await hooks.pre_stop(self._container, self._setup, self.log, self._grace)
        self._grace = max(min(self._grace, _LEFT_SECONDS), self._grace - (clock() - begun))
        if trouble is not None:
            self._say(EventType.WARNING, "FailedPreStopHook", trouble)

    def _probe(self) -> Probing:
        return Probing(
            container=self._container,
            ip=self._setup.ip,
            place=self._place,
            on_started=lambda: self._set(started=True, ready=not self._container.get("readinessProbe")),
            on_ready=self._on_readiness,
            on_dead=self._give_up,
        )

    def _on_readiness(self, good: bool, why: str) -> None:
        if not good:
            self._say(EventType.WARNING, "Unhealthy", f"readiness probe failed: {why}")
        if good != self.state.ready:
            log.info("container readiness changed", **self._labels(), ready=good, why=why)
            self._set(ready=good)

    def _give_up(self, why: str, grace: float | None) -> None:
        """Ends a process that does not answer; it is started again as after a crash."""
        if not self._complaint and not self._doomed.is_set():
            self._complaint = why
            log.warning("container does not answer", **self._labels(), why=why)
            self._say(EventType.WARNING, "Unhealthy", why)
            self._grace = self._setup.tools.settings.grace if grace is None else grace
            self._doomed.set()

    def _terminated(self, ending: Exit) -> Terminated:
        running = self.state.current
        return Terminated(
            exit_code=_UNKNOWN_EXIT if ending.code is None else ending.code,
            signal=ending.signal,
            message=self._complaint or logs.last_line(self.log),
            started_at=running.started_at if isinstance(running, Running) else "",
            finished_at=stamp(utc_now()),
        )

    def _set(self, **changes: object) -> None:
        new = replace(self.state, **changes)  # type: ignore[arg-type]  # replace() checks the names
        if new != self.state:
            self.state = new
            self._changed()

    def _say(self, event_type: EventType, reason: str, message: str) -> None:
        text = f"container {self.key[1]}: {message}"
        self._setup.tools.recorder.event(self._setup.pod, event_type, reason, text)

    def _labels(self) -> dict[str, str]:
        metadata = self._setup.pod["metadata"]
        return {"namespace": metadata["namespace"], "pod": metadata["name"], "container": self.key[1]}


def _status_of(pod: Manifest, container: str) -> Manifest:
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return next((each for each in entries if each["name"] == container), {})
