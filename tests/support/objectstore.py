"""Real stores on loopback, served by rclone over a folder: S3 (one bucket per sub-folder) and plain HTTP."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support import plain_http
from tests.support.mlserver import free_port

from bailie.agent.rclone import binary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCESS_KEY = "AKIDTESTTEST"
SECRET_KEY = "SECRETsecretSECRETsecret"


@dataclass(frozen=True)
class ObjectStore:
    folder: Path
    endpoint: str

    def remote(self, name: str = "store", secret_key: str = SECRET_KEY) -> dict[str, object]:
        """The store as a Secret of the namespace would define it."""
        parameters = {
            "provider": "Rclone",
            "endpoint": self.endpoint,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": secret_key,
        }
        return {"type": "s3", "name": name, "parameters": parameters}


@dataclass(frozen=True)
class WebServer:
    folder: Path
    url: str


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory):
    """Import it in a conftest.py."""
    folder = tmp_path_factory.mktemp("buckets")
    with _serving("s3", folder, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}") as url:
        yield ObjectStore(folder, url)


@pytest.fixture(scope="session")
def web_server(tmp_path_factory: pytest.TempPathFactory):
    """A plain web server over a folder; import it in a conftest.py."""
    folder = tmp_path_factory.mktemp("site")
    with _serving("http", folder) as url:
        yield WebServer(folder, url)


@contextmanager
def _serving(kind: str, folder: Path, *options: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    command = [
        binary(),
        "serve",
        kind,
        "--config=",
        "--dir-cache-time=1ms",
        "--addr",
        address,
        *options,
        str(folder),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://{address}")
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            plain_http.get(url)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
