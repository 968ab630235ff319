"""Records, on disk, of the processes that this node started, so that the next node can adopt them.

Called by the container runner (write, remove) and once at the node's start (`survivors`). A record names a
process beyond doubt: boot, pid and start time. Processes that carry this state directory's mark but belong to
no record that matches a pod are killed: also those that were started in the instant before a crash. By the
mark of a container the processes are found that it leaves behind.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from bailie.workloads.node import proc
from bailie.workloads.node.files import read_json, write_atomically
from bailie.workloads.node.pods import CONTAINER_VARIABLE, STATE_VARIABLE, command_mark, container_mark

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

log = structlog.get_logger(__name__)

_ROUNDS = 20
"""A process that starts others as fast as they are killed is given up after so many looks at all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """One running container. `fixed`: the settings that the process got at its start and cannot learn anew
    (address, API)."""

    pod_uid: str
    container: str
    pid: int
    start_time: int
    boot: str
    fixed: str
    started_at: str
    restarts: int

    @property
    def key(self) -> tuple[str, str]:
        """The container that it stands for."""
        return self.pod_uid, self.container


class ProcessRecords:
    """The directory of records."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._boot = proc.boot_id()

    @property
    def boot(self) -> str:
        """The boot that new records belong to."""
        return self._boot

    def write(self, record: ProcessRecord) -> None:
        """Keeps the record, in place of an earlier one of the same container."""
        write_atomically(self._path(record.key), json.dumps(asdict(record)))

    def remove(self, key: tuple[str, str]) -> None:
        """Forgets a container that has ended."""
        self._path(key).unlink(missing_ok=True)

    def survivors(self) -> dict[tuple[str, str], ProcessRecord]:
        """Returns the records whose process still lives, and removes the others."""
        result = {}
        for path in self._directory.glob("*.json"):
            record = _record(read_json(path))
            if record and record.boot == self._boot and proc.start_time(record.pid) == record.start_time:
                result[record.key] = record
            else:
                path.unlink(missing_ok=True)
        return result

    def _path(self, key: tuple[str, str]) -> Path:
        return self._directory / f"{key[0]}.{key[1]}.json"


def _record(data: object) -> ProcessRecord | None:
    if not isinstance(data, dict):
        return None
    try:
        return ProcessRecord(**data)
    except TypeError:  # written by another version
        return None


def started_by(state_dir: Path) -> list[int]:
    """Returns the pids of live processes that any node of this state directory has started."""
    own, mark = os.getpid(), str(state_dir)
    return [pid for pid in proc.pids() if pid != own and proc.variable(pid, STATE_VARIABLE) == mark]


def kill_orphans(state_dir: Path, adopted: Collection[tuple[str, str]]) -> list[int]:
    """Kills processes of an earlier node of this state directory that were not adopted; returns the pids."""
    marks = {container_mark(*key) for key in adopted}
    killed = []
    for pid in started_by(state_dir):
        if proc.variable(pid, CONTAINER_VARIABLE) in marks:
            continue
        log.warning("orphan killed", pid=pid, command=proc.command(pid))
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    return killed


def kill_left(key: tuple[str, str]) -> int:
    """Kills the processes that a container, whose own process has ended, has left behind in sessions of their
    own; returns how many. They would hold its port, and its callers' connections, against its next process.
    """
    mark = container_mark(*key)
    marks = {mark, command_mark(mark)}
    killed = set[int]()
    for _ in range(_ROUNDS):
        before = len(killed)
        # The youngest first, each at once: one that only starts another and ends is gone in an instant.
        for pid in sorted(proc.pids(), reverse=True):
            if proc.variable(pid, CONTAINER_VARIABLE) in marks:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        if len(killed) == before:
            break
    return len(killed)
