"""The processes of pods: each runs one service with the parts that it needs from others, until it is told to
end.

Settings come from the environment (the API's from arguments). This module decides nothing.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import stat
import sys
from argparse import ArgumentParser
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.settings.reader import SettingsError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Coroutine, Iterator

    from kubeapi.settings import Settings


class Unusable(Exception):  # noqa: N818 - the name of the state
    """The process cannot use its environment or arguments; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class PodProcess:
    """A process of a pod: its name on the command line, one line of help, and the function that it runs."""

    name: str
    help: str
    start: Callable[[list[str]], None]

    def show_help(self) -> None:
        """Stands for the process in `bailie --help`; the process itself never comes this way."""
        self.start([])


def run(name: str, arguments: list[str]) -> int:
    """Runs a process until it ends; returns its exit code. A mistake in its environment is printed as one
    sentence."""
    gc.disable()  # until the imports are done: nothing of them is garbage
    # structlog would load it for pictures of exceptions, which nobody sees in a pod; it takes 3 MiB.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    try:
        PROCESSES[name].start(arguments)
    except KeyboardInterrupt:
        return 130
    except (Unusable, SettingsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _set_up_logging(level: str) -> None:
    from bailie.cli.logging import set_up_logging

    set_up_logging(level)


def _until_told(work: Coroutine[None, None, None]) -> None:
    """Runs a coroutine on uvloop, cancelling it on SIGTERM or SIGINT."""
    import uvloop

    async def main() -> None:
        _collect_from_now_on()
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _collect_from_now_on() -> None:
    """Starts the garbage collector, which from here on ignores all imported objects."""
    gc.freeze()
    gc.enable()


@contextmanager
def _ends_with_standard_input() -> Iterator[None]:
    """Makes this process end with its parent, whose end closes our standard input."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            os.kill(os.getpid(), signal.SIGTERM)

    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        yield
        return
    loop.add_reader(descriptor, readable)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


def _operator(_: list[str]) -> None:
    from bailie.kube.client import Client
    from bailie.kube.errors import Unconfigured
    from bailie.manifests.rbac import OPERATOR_STATEFUL_RULES
    from bailie.operator.run import Adapter
    from bailie.operator.run import run as serve
    from bailie.operator.settings import OperatorSettings
    from bailie.workloads.kubernetes import KubernetesWorkloads

    settings = OperatorSettings.from_environment()
    _set_up_logging(settings.log_level)

    async def main() -> None:
        async with Client.from_environment() as client:
            await serve(settings, client, Adapter(KubernetesWorkloads, OPERATOR_STATEFUL_RULES))

    try:
        _until_told(main())
    except Unconfigured as error:
        raise Unusable(str(error)) from error


def _scheduler(_: list[str]) -> None:
    from bailie.cli.data_planes import DataPlanes
    from bailie.gateway import descriptors, xds_requests
    from bailie.kube.client import Client
    from bailie.kube.errors import Unconfigured
    from bailie.kube.garbage import Survivors
    from bailie.scheduler.run import run as serve
    from bailie.scheduler.settings import SchedulerSettings

    settings = SchedulerSettings.from_environment()
    _set_up_logging(settings.log_level)
    planes = DataPlanes(settings)

    async def main() -> None:
        descriptors.message_class(xds_requests.REQUEST)  # Envoy's types are read now, not when a term begins
        gc.callbacks.append(Survivors())
        async with Client.from_environment() as client:
            await serve(
                settings, client, planes.first, planes.further, request_metrics=planes.request_metrics
            )

    try:
        _until_told(main())
    except Unconfigured as error:
        raise Unusable(str(error)) from error


def _agent(_: list[str]) -> None:
    from bailie.agent.run import run as serve
    from bailie.agent.settings import Settings

    settings = Settings.from_environment()
    _set_up_logging(settings.log_level)
    _until_told(serve(settings))


def _envoy(_: list[str]) -> None:
    from bailie.gateway.envoy import run as become
    from bailie.gateway.settings import StarterSettings

    become(Path.cwd(), StarterSettings.from_environment())


def _pipeline_gateway(_: list[str]) -> None:
    from bailie.pipelinegateway.run import serve
    from bailie.pipelinegateway.settings import PipelineGatewaySettings

    settings = PipelineGatewaySettings.from_environment()
    _set_up_logging(settings.log_level)
    _until_told(serve(settings))


def _api_server(arguments: list[str]) -> None:
    parser = ArgumentParser(prog="bailie apiserver", description="The embedded Kubernetes API.")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--audit-log", type=Path, help="file for an audit log, one line per request")
    options = parser.parse_args(arguments)
    _set_up_logging(options.log_level)
    from kubeapi.errors import StateError
    from kubeapi.server import serve

    settings = _api_settings(options)

    async def main() -> None:
        _collect_from_now_on()
        with _ends_with_standard_input():
            await serve(settings)

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main())
        except StateError as error:
            raise Unusable(str(error)) from error


def _api_settings(options: Namespace) -> Settings:
    from bailie.local.bootstrap import IMAGE, MLSERVER_IMAGE
    from bailie.local.definitions import served_definitions
    from bailie.local.notices import Notices
    from bailie.local.programs import TITLES
    from bailie.local.settings import API_NAME
    from kubeapi.settings import Settings

    state = options.state_dir
    return Settings(
        definitions=served_definitions(),
        name=API_NAME,
        state_dir=state / "api",
        log_dir=state / "logs",
        addresses=state / "node" / "addresses.json",
        node=state / "node" / "commands.sock",
        notices=Notices(TITLES, own=(IMAGE, MLSERVER_IMAGE)),
        port=options.port,
        audit_log=options.audit_log,
    )


PROCESSES = {
    process.name: process
    for process in (
        PodProcess("operator", "Serve namespaces: runtimes and servers to pods.", _operator),
        PodProcess("scheduler", "Place the models of a namespace and route to them.", _scheduler),
        PodProcess("agent", "Load and unload models beside an inference server.", _agent),
        PodProcess("envoy", "Become the Envoy of a namespace.", _envoy),
        PodProcess("pipelinegateway", "Run the pipelines of a namespace.", _pipeline_gateway),
        PodProcess("apiserver", "Serve the embedded Kubernetes API.", _api_server),
    )
}
