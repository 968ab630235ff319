"""Starts and stops the embedded API: state, certificates, socket, uvicorn, controllers.

The program that embeds the API calls `serve`; tests start an `ApiServer` themselves. Holds no rule of the
API.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING

import structlog
import uvicorn
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from kubeapi import bootstrap, kubeconfig
from kubeapi.access import certs
from kubeapi.controllers.gc import Collector
from kubeapi.controllers.namespaces import NamespaceCleaner
from kubeapi.errors import StateError
from kubeapi.files import write_private
from kubeapi.http.app import App
from kubeapi.http.audit import AuditLog
from kubeapi.http.connections import Clients, Listener, Protocol, files_allowed, most_clients
from kubeapi.registry.ports import NodePorts
from kubeapi.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubeapi.http.connections import Client
    from kubeapi.settings import Settings

log = structlog.get_logger(__name__)
_KEEP_ALIVE_SECONDS = 600
_GRACE_SECONDS = 3
_LONGEST_MESSAGE = 1 << 20
"""Bytes of a message of a WebSocket; kubectl sends 32 KiB."""
_ASK_SECONDS = 2.0


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own signal handlers and sockets, which ends watches before it waits for clients."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self.is_started = asyncio.Event()

    def protocol(self, client: Client, clients: Clients) -> Protocol:
        """Returns the protocol that speaks HTTP with a client. To be called only after the start."""
        return Protocol(
            client,
            clients,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_started.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


class ApiServer:
    """One embedded API. Everything that can fail for reasons of the machine fails in the constructor.

    Attributes:
        url: the address at which the server listens.
        ca: the PEM of the CA that signed the server's certificate.
        admin_token: the administrator's bearer token.
        app: the application, for tests that need parts of it.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens the state directory and binds the port.

        Raises:
            StateError: the directory or the port cannot be used; the message is one sentence.
        """
        self.settings = settings
        self._store = Store(
            settings.database,
            kept_changes=settings.kept_changes,
            expected=settings.admin_token_file.exists(),  # written after the first objects
        )
        self._node_ports = NodePorts()
        try:
            files = certs.ensure(settings.pki_dir, settings.host)
            self._socket = _bind(settings)
            port = self._socket.getsockname()[1]
            write_private(settings.port_file, f"{port}\n")
            self._audit = AuditLog(settings.audit_log) if settings.audit_log else None
            catalogue = bootstrap.catalogue(settings.definitions, self._node_ports)
            self.app = App(self._store, catalogue, settings, self._audit)
            bootstrap.prepare(self.app, settings.definitions)
            bootstrap.resume_ports(self.app, self._node_ports)
            self._workers = (
                Collector(self.app.objects, self.app.catalogue).worker,
                NamespaceCleaner(self.app.objects, self.app.catalogue).worker,
            )
            self.url = f"https://{settings.host}:{port}"
            self.ca = files.ca.read_bytes()
            self.admin_token = bootstrap.admin_token(self.app, settings.admin_token_file)
            content = kubeconfig.kubeconfig(
                settings.name, server=self.url, ca=self.ca, token=self.admin_token
            )
            kubeconfig.write(settings.admin_kubeconfig, content)
        except OSError as error:
            self._store.close()
            message = f"cannot use the state directory {settings.state_dir}: {error.strerror or error}"
            raise StateError(message) from error
        except StateError:
            self._store.close()
            raise
        self._uvicorn = _Uvicorn(_configuration(self.app, files), self._wind_down)
        self._listening: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serves until `stop` is called or the task is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._listening = tasks.create_task(self._listen())
                loops = [tasks.create_task(worker.run()) for worker in self._workers]
                await self._uvicorn.serve(sockets=[])
                for loop in (*loops, self._listening):
                    loop.cancel()
        finally:
            self.close()

    async def _listen(self) -> None:
        await self._uvicorn.is_started.wait()
        context = self._uvicorn.config.ssl
        assert context is not None  # noqa: S101 - the configuration names a certificate
        clients = Clients(most_clients(files_allowed()), asyncio.get_running_loop().time)
        await Listener(self._socket, context, clients, self._uvicorn.protocol).run()

    def _wind_down(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        self.app.hub.close()

    def close(self) -> None:
        """Gives up the ports and the state directory."""
        self.app.hub.close()
        self._socket.close()
        self._node_ports.close()
        self._store.close()
        if self._audit is not None:
            self._audit.close()

    def stop(self) -> None:
        """Asks the server to stop; may be called from a signal handler or another thread."""
        self._uvicorn.should_exit = True


async def serve(settings: Settings) -> None:
    """Runs the embedded API until SIGTERM or SIGINT.

    Raises:
        StateError: the API cannot start; the message is one sentence for the person who started it.
    """
    server = ApiServer(settings)
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
    log.info("serving the Kubernetes API", url=server.url, state=str(settings.state_dir))
    await server.run()
    log.info("stopped serving the Kubernetes API")


def _configuration(app: App, files: certs.Certificates) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws=WSProtocol,
        ws_max_size=_LONGEST_MESSAGE,
        ws_per_message_deflate=False,
        # A client is asked, so that its end is seen also while nothing of it is read: the second question
        # after the end cannot be sent. One that is busy may be silent.
        ws_ping_interval=_ASK_SECONDS,
        ws_ping_timeout=None,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=files.certificate,
        ssl_keyfile=files.key,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _bind(settings: Settings) -> socket.socket:
    last = settings.port_file.read_text().strip() if settings.port_file.exists() else ""
    wanted = [settings.port] if settings.port else [*([int(last)] if last.isdigit() else []), 0]
    for port in wanted:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # asyncio sets TCP_NODELAY only where the protocol is said; without it each answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, port))
        except OSError as error:
            listener.close()
            if port == wanted[-1]:
                where = f"{settings.host}:{port}"
                message = (
                    f"cannot listen on {where}: {error.strerror}; name another port, or none for a free one"
                )
                raise StateError(message) from error
        else:
            listener.listen(1024)
            listener.setblocking(False)
            return listener
    raise AssertionError("no port tried")
