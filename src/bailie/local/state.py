"""The state directory: the files of one `bailie up`, and the lock of the process that uses them.

Used by the supervisor (which locks it) and by commands that only look. Layout:

    lock              held by the running supervisor, whose pid it names
    supervisor.json   its pid and how far it is
    supervisor.log    its log when detached
    kubeconfig        the administrator's, 0600
    operator.kubeconfig
    api/              the embedded API's database and certificates
    node/             records, volumes and secrets of pods
    logs/             one file per container
    monitoring/       configuration and series of Prometheus, where it was asked for
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self

from bailie.local.errors import AlreadyRunning, NotRunning, StateUnusable
from bailie.local.settings import default_state_directory

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class SupervisorRecord:
    """How far the supervisor of a state directory is: `starting`, `ready`, `failed` or `stopping`."""

    pid: int
    phase: str
    message: str = ""
    namespaces: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below the state directory."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        """A kubeconfig with the operator's rights, for looking at what it may do."""
        return self.root / "operator.kubeconfig"

    @property
    def api(self) -> Path:
        """The embedded API's folder."""
        return self.root / "api"

    @property
    def api_token(self) -> Path:
        """The administrator's token, written by the embedded API."""
        return self.api / "admin.token"

    @property
    def api_kubeconfig(self) -> Path:
        """The kubeconfig that the embedded API writes when it listens."""
        return self.api / "admin.kubeconfig"

    @property
    def api_ca(self) -> Path:
        """The certificate authority of the embedded API, PEM."""
        return self.api / "pki" / "ca.crt"

    @property
    def node(self) -> Path:
        """The node's folder."""
        return self.root / "node"

    @property
    def monitoring(self) -> Path:
        """The folder of Prometheus."""
        return self.root / "monitoring"

    @property
    def logs(self) -> Path:
        """Logs of containers, by namespace and pod."""
        return self.root / "logs"

    @property
    def supervisor_log(self) -> Path:
        """The log of a detached supervisor."""
        return self.root / "supervisor.log"

    @property
    def api_log(self) -> Path:
        """The log of the embedded API."""
        return self.logs / "apiserver.log"

    def prepare(self) -> None:
        """Makes the folders, readable by the owner only.

        Raises:
            StateUnusable: The directory cannot be made or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            for folder in (self.api, self.node, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
            probe = self.root / ".writable"
            probe.write_text("ok")
            probe.unlink()
        except OSError as error:
            raise StateUnusable(
                f"the state directory {self.root} cannot be used: {error.strerror or error}",
                hint="choose another with --state-dir, or make room and set its permissions",
            ) from error

    def record(self, record: SupervisorRecord) -> None:
        """Writes how far the supervisor is, whole or not at all."""
        draft = self.root / ".supervisor.json"
        draft.write_text(json.dumps(asdict(record)))
        draft.rename(self.root / "supervisor.json")

    def supervisor(self) -> SupervisorRecord | None:
        """Returns the last record of a supervisor, running or not; None for none and for a damaged one."""
        try:
            data = json.loads((self.root / "supervisor.json").read_text())
            lists = {key: tuple(data[key]) for key in ("namespaces", "waiting_for")}
            return SupervisorRecord(data["pid"], data["phase"], data["message"], **lists)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> StateUnusable:
        return StateUnusable(
            f"the state directory {self.root} cannot be read: {error.strerror}",
            hint="name another with --state-dir, or a cluster with --kubeconfig",
        )

    def holder(self) -> int | None:
        """Returns the pid of the process that holds the directory, or None.

        None also in the instant between the lock and the note of the pid.
        """
        if not self.running():
            return None
        text = (self.root / "lock").read_text()
        return int(text) if text.isdecimal() else None

    def running(self) -> bool:
        """Tells whether a supervisor holds the directory now; leaves nothing behind in it."""
        path = self.root / "lock"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a pipe
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def chosen_state(chosen: Path | None) -> StateDirectory:
    """Returns the state directory that was named, else the user's."""
    return StateDirectory(chosen or default_state_directory().absolute())


class Lock:
    """The exclusive hold on a state directory; the kernel frees it when the holder dies, however it dies."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._file = -1

    def __enter__(self) -> Self:
        path = self._state.root / "lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise NotRunning(
                f"nothing has run in {self._state.root}", hint="start with `bailie up`"
            ) from error
        except OSError as error:
            raise StateUnusable(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            holder = self._state.holder()
            pid = f" (pid {holder})" if holder else ""
            raise AlreadyRunning(
                f"Bailie already runs in {self._state.root}{pid}",
                hint="see `bailie status`, end it with `bailie down`, or choose another --state-dir",
            ) from error
        os.ftruncate(self._file, 0)  # of a holder that was killed
        with suppress(OSError):  # a full disk: nobody can be told the pid, and all else goes on
            os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
