"""Starts the embedded Kubernetes API for tests, in this process (a thread) or as a real one.

    with running_api(tmp_path) as api:            # about 0.2 s
        client = Client.from_kubeconfig(api.kubeconfig)

`api.namespace("a")` makes a namespace, `api.token(...)` and `api.kubeconfig_for(...)` other users,
`api.request("GET", "/api/v1/pods")` talks plain HTTP as the administrator.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from bailie.local.definitions import served_definitions
from kubeapi import kubeconfig as kubeconfigs
from kubeapi.access.auth import service_account_user
from kubeapi.access.rbac import AUTHENTICATED, User
from kubeapi.server import ApiServer
from kubeapi.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Api:
    """A running embedded API. `request` keeps its connection: tests look again and again until it changes."""

    server: ApiServer
    state_dir: Path
    loop: asyncio.AbstractEventLoop

    def __post_init__(self) -> None:
        self._admin = self.http()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig file."""
        return self.server.settings.admin_kubeconfig

    def token(self, name: str, *, groups: tuple[str, ...] = ()) -> str:
        """A token for a plain user; without RBAC objects it may only read discovery."""
        return self._call(lambda: self.server.app.tokens.issue(User(name, "", (*groups, AUTHENTICATED))))

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token for a ServiceAccount (which need not exist)."""
        return self._call(lambda: self.server.app.tokens.issue(service_account_user(namespace, name)))

    def kubeconfig_for(self, token: str, path: Path, *, namespace: str = "default") -> Path:
        """Writes a kubeconfig with this token and returns its path."""
        content = kubeconfigs.kubeconfig(
            "bailie", server=self.url, ca=self.server.ca, token=token, namespace=namespace, user="test"
        )
        kubeconfigs.write(path, content)
        return path

    def http(self, token: str | None = None) -> httpx.Client:
        """An HTTP client with the base URL, the CA and a token (default: the administrator's)."""
        context = ssl.create_default_context(cadata=self.server.ca.decode())
        headers = {"authorization": f"Bearer {token or self.server.admin_token}"}
        return httpx.Client(base_url=self.url, verify=context, headers=headers, timeout=30)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request as the administrator; returns the decoded answer, raises on 4xx and 5xx."""
        response = self._admin.request(method, path, **options)
        if response.is_error:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def close(self) -> None:
        """Closes the connection of `request`."""
        self._admin.close()

    def namespace(self, name: str) -> None:
        """Creates a namespace."""
        self.request("POST", "/api/v1/namespaces", json={"metadata": {"name": name}})

    def node_gave(self, namespace: str, pod: str, address: str) -> None:
        """Has the node's list say that it gave this address to the pod, as before it starts one."""
        path = self.server.settings.addresses
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text())["pods"] if path.exists() else {}
        path.write_text(json.dumps({"network": 199, "pods": {**known, f"{namespace}/{pod}": address}}))

    def _call(self, function: Any) -> Any:
        """Runs `function` on the server's thread, which owns the database."""

        async def call() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(30)


@contextlib.contextmanager
def running_api(directory: Path, **settings: Any) -> Iterator[Api]:
    """The embedded API on a thread of this process, with its state in `directory/api`."""
    node = directory / "node"
    places = {
        "log_dir": directory / "logs",
        "addresses": node / "addresses.json",
        "node": node / "commands.sock",
    }
    ours = {"definitions": definitions(), "name": "bailie"}
    server = ApiServer(Settings(state_dir=directory / "api", **{**places, **ours, **settings}))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_served(server, loop)), name="api")
    thread.start()
    api = Api(server, directory / "api", loop)
    try:
        wait_ready(api)
        yield api
    finally:
        api.close()
        server.stop()
        thread.join(60)
        loop.close()


@functools.cache
def definitions() -> list[dict[str, Any]]:
    """As the API of `bailie up` is given them; to make them takes longer than to start an API."""
    return served_definitions()


async def _served(server: ApiServer, loop: Any) -> None:
    """On the API's own thread to the end: the caller's may run a loop already."""
    try:
        await server.run()
    finally:
        await _connections_closed(loop)


async def _connections_closed(loop: Any, *, seconds: float = 1) -> None:
    """Waits for the TLS connections to finish closing; the server does not.

    A client that is at rest does not see that it should close its end: such a connection is cut off, as by
    the end of a process. A transport that has closed its socket may stay in the loop's table until the
    collector finds it.
    """
    deadline = loop.time() + seconds
    while left := [t for t in loop._transports.values() if t._sock]:
        if loop.time() > deadline:
            for transport in left:
                transport.abort()
        await asyncio.sleep(0.01)


def wait_ready(api: Api, *, seconds: float = 30) -> None:
    """Waits until the API answers."""
    deadline = time.monotonic() + seconds
    with api.http() as client:
        while True:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)
