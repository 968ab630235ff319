"""A port of this machine that leads to a Service or a pod of a cluster: `kubectl port-forward` as a process.

Used by `local.data_plane` and `local.gateway_traces`. kubectl knows every way to log in to a cluster and both
protocols of forwarded ports, and its user has it for the cluster anyway.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from bailie.local.errors import NoAddress

if TYPE_CHECKING:
    from collections.abc import Callable

_OPENED = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")
_OPEN_SECONDS = 30.0
_END_SECONDS = 5.0
_LAST_LINES = 3


class PortForward:
    """A running `kubectl port-forward`. It ends by `close`, or with this program."""

    def __init__(self, command: list[str]) -> None:
        self.address = ""
        """HOST:PORT of this machine, empty while the port is not open."""
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._settled = threading.Event()
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=none, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        self._end = weakref.finalize(self, _ended, process)
        reading = weakref.WeakMethod(self._take)
        threading.Thread(target=_read, args=(process, reading, self._settled), daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Returns whether the port is open: as soon as it is, or kubectl has ended, or `seconds` are over."""
        self._settled.wait(seconds)
        return bool(self.address)

    @property
    def words(self) -> str:
        """The last that kubectl has said."""
        return "; ".join(self._said)

    def close(self) -> None:
        """Ends kubectl."""
        self._end()

    def _take(self, line: str) -> None:
        self._said.append(line.strip())
        if not self.address and (opened := _OPENED.search(line)):
            self.address = opened[1]
            self._settled.set()


def kubectl_program() -> str | None:
    """Returns the kubectl of the PATH, else the one beside this Python; None where there is none."""
    return shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))


def open_port_forward(
    service: str, port: int, *, namespace: str, kubeconfig: Path | None, program: str | None
) -> PortForward:
    """Opens a port that leads to `port` of a Service, by the kubectl `program`.

    Where `kubeconfig` is None, kubectl chooses its own.

    Raises:
        NoAddress: There is no kubectl, or kubectl opens no port; in kubectl's words.
    """
    place = f"Service {namespace}/{service} has no address that can be reached from here"
    if program is None:
        hint = "install kubectl, with which a port is forwarded, or give the Service a load balancer"
        raise NoAddress(f"{place}, and no kubectl is in the PATH", hint=hint)
    command = [program, "port-forward", f"service/{service}", f":{port}", "--namespace", namespace]
    return _opened(command, kubeconfig, place)


def open_pod_forward(
    pod: str, port: int, *, namespace: str, kubeconfig: Path | None, program: str | None
) -> PortForward:
    """Opens a port that leads to `port` of a pod, also where only the pod itself reaches it.

    Raises:
        NoAddress: There is no kubectl, or kubectl opens no port; in kubectl's words.
    """
    place = f"port {port} of Pod {namespace}/{pod} is open for the pod alone"
    if program is None:
        raise NoAddress(f"{place}, and no kubectl is in the PATH", hint="install kubectl")
    command = [program, "port-forward", f"pod/{pod}", f":{port}", "--namespace", namespace]
    return _opened(command, kubeconfig, place)


def _opened(command: list[str], kubeconfig: Path | None, place: str) -> PortForward:
    chosen = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    forward = PortForward([*command, "--address", "127.0.0.1", *chosen])
    if forward.wait(_OPEN_SECONDS):
        return forward
    forward.close()
    said = forward.words or f"not within {_OPEN_SECONDS:g} s"
    hint = "kubectl needs the right to create pods/portforward, and a pod that is ready"
    raise NoAddress(f"{place}, and `kubectl port-forward` opens no port: {said}", hint=hint)


def _read(
    process: subprocess.Popen[str], take: weakref.WeakMethod[Callable[[str], None]], settled: threading.Event
) -> None:
    """Reads to the end: kubectl says a line for each connection, and stops where nobody reads them."""
    with cast("IO[str]", process.stdout) as lines:
        for line in lines:
            if taking := take():
                taking(line)
            del taking
    settled.set()


def _ended(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
