"""A real MLServer as a child process, one per test session: in-process models, no metrics, free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support import plain_http
from tests.support.environments import mlserver_environment
from tests.support.ports import free_port

from bailie.mlserver import START_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_START_SECONDS = 60.0


class MlserverProcess:
    """MLServer over a folder. `folder/models` is its repository, as an agent with that folder expects."""

    host = "127.0.0.1"

    def __init__(
        self, environment: Path, folder: Path, variables: Mapping[str, str] | None = None, *, workers: int = 0
    ) -> None:
        self.folder = folder
        self.http_port = free_port()
        self.grpc_port = free_port()
        self.log = folder / "mlserver.log"
        self._environment = environment
        self._variables = variables or {}
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "models").mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it is ready."""
        settings = {
            "host": self.host,
            "http_port": self.http_port,
            "grpc_port": self.grpc_port,
            "metrics_endpoint": None,
            "parallel_workers": self._workers,
            "load_models_at_startup": False,
            "debug": False,
        }
        (self.folder / "models" / "settings.json").write_text(json.dumps(settings))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._environment / "bin" / "python", START_SCRIPT, "start", self.folder / "models"],
                cwd=self.folder,
                env={**os.environ, **self._variables},  # noqa: TID251 - what the test run has
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                if plain_http.get(f"{self.url}/v2/health/ready", timeout=1).is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"MLServer is not ready:\n{self.log.read_text()[-3000:]}")

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Returns its exit code; raises TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Kills the server as a crash would, and waits until it is gone."""
        if self.running():
            os.killpg(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def ensure(self) -> None:
        """Starts the server when a test has left it dead."""
        if not self.running():
            self.start()


@pytest.fixture(scope="session")
def mlserver_process(tmp_path_factory: pytest.TempPathFactory):
    """The session's server. A test that kills it need not start it again."""
    server = MlserverProcess(mlserver_environment(), tmp_path_factory.mktemp("mlserver"))
    server.start()
    yield server
    server.kill()
