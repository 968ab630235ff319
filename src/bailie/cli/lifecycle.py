"""`bailie up`, `down` and `status`: everything on one machine, started, ended and shown."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.api.texts import counted
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run, state_directory
from bailie.cli.logging import LogLevel, set_up_logging
from bailie.cli.output import ExitCode, Output, console, fail, failures_explained, print_json, say
from bailie.cli.progress import Progress
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bailie.local.state import StateDirectory, SupervisorRecord

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")]
DetachOption = Annotated[bool, typer.Option("--detach", "-d", help="Return when ready; all goes on.")]
NamespacesOption = Annotated[
    list[str] | None,
    typer.Option("--namespaces", help="Namespaces to watch: a,b.", show_default="as before, or default"),
]
DefaultServersOption = Annotated[
    bool, typer.Option("--default-servers/--no-default-servers", help="A runtime and one MLServer in each.")
]
ApiPortOption = Annotated[
    int,
    typer.Option(
        "--api-port", min=0, max=65535, help="Port of the API.", show_default="the last one, or free"
    ),
]
SchedulerReplicasOption = Annotated[
    int | None,
    typer.Option(
        "--scheduler-replicas",
        min=1,
        help="Schedulers in each namespace: one leads, the others stand by.",
        show_default="as it was, or 1",
    ),
]
MonitoringOption = Annotated[
    bool, typer.Option("--monitoring", help="Run a Prometheus, too, if one is installed.")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait until all is ready.")]
LogLevelOption = Annotated[LogLevel, typer.Option("--log-level", help="The lowest level to log.")]


def up(
    *,
    detach: DetachOption = False,
    namespaces: NamespacesOption = None,
    state_dir: StateDir = None,
    default_servers: DefaultServersOption = True,
    api_port: ApiPortOption = 0,
    scheduler_replicas: SchedulerReplicasOption = None,
    monitoring: MonitoringOption = False,
    timeout: TimeoutOption = 120.0,
    log_level: LogLevelOption = LogLevel.INFO,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start everything on this machine: the API, the operator, and its pods in each namespace.

    Without --detach it stays in the foreground; Ctrl-C ends everything and keeps what was stored.

    Examples:

      bailie up

      bailie up --detach --namespaces seldon-system,financial-staging
    """
    from bailie.local import detached, supervisor
    from bailie.local.settings import LocalSettings

    state = state_directory(state_dir)
    watched = _namespaces(namespaces)
    settings = LocalSettings(
        state_directory=state.root,
        namespaces=watched,
        default_servers=default_servers,
        api_port=api_port,
        log_level=log_level,
        scheduler_replicas=scheduler_replicas,
        monitoring=monitoring,
    )
    with failures_explained():
        shown = output is Output.TEXT
        if detach:
            with Progress(shown=shown) as progress:
                detached.start(settings, timeout=timeout, progress=progress)
            _announce(state, output)
            return
        set_up_logging(settings.log_level)
        with ExitStack() as picture:
            progress = picture.enter_context(Progress(shown=shown))

            def ready(_: SupervisorRecord) -> None:
                picture.close()
                # Within the supervisor's loop, which goes on meanwhile.
                threading.Thread(target=_announce, args=(state, output), daemon=True).start()

            supervisor.run(settings, timeout=timeout, progress=progress, ready=ready)


def _namespaces(values: list[str] | None) -> tuple[str, ...] | None:
    """Returns the namespaces to watch, None to leave them as they are; refuses text that is no list of
    names."""
    from bailie.scope.watch_list import parse_watch_list

    if values is None:
        return None
    watched, problems = parse_watch_list(",".join(values))
    if not watched and not problems:
        fail("--namespaces: name at least one namespace", code=ExitCode.USAGE)
    if problems:
        fail("; ".join(f"--namespaces: {problem}" for problem in problems), code=ExitCode.USAGE)
    return tuple(watched)


def _announce(state: StateDirectory, output: Output) -> None:
    """Prints where the API and the data planes are, or the whole status as JSON."""
    value = asyncio.run(_gather(state))
    if output is Output.JSON:
        print_json(value)
        return
    say(f"Bailie is ready. API: {value['api']}")
    for name, namespace in value["namespaces"].items():
        say(f"  {name}: {namespace['inference']['http'] or 'no SeldonRuntime yet'}")
    if value["prometheus"]:
        say(f"  Prometheus: {value['prometheus']['url']}")
    say(f"  export KUBECONFIG={value['kubeconfig']}")


async def _gather(state: StateDirectory) -> dict[str, Any]:
    from bailie.kube.errors import Unreachable
    from bailie.local.errors import LocalError
    from bailie.local.status import local_status

    try:
        async with connected(state.kubeconfig, None) as client:
            return await local_status(client, state)
    except Unreachable as error:
        record = state.supervisor()
        if record is not None and record.phase == "failed":
            hint = f"models that are loaded go on answering; the log of the API is {state.api_log}"
            raise LocalError(record.message, hint=hint) from error
        raise


def down(
    *,
    state_dir: StateDir = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait for the end.")] = 60.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """End all that `bailie up` started. Stored objects stay, and `bailie up` goes on from there.

    Examples:

      bailie down

      bailie down --state-dir /tmp/try
    """
    from bailie.local import detached

    state = state_directory(state_dir)
    with failures_explained(), Progress(shown=output is Output.TEXT) as progress:
        detached.stop(state, timeout=timeout, progress=progress)
    if output is Output.JSON:
        print_json({"stateDirectory": str(state.root), "running": False})
    else:
        say("Bailie is down.")


def status(
    *,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the operator and, for each namespace, its data plane, schedulers, servers, models and pipelines.

    With --namespace or --kubeconfig it shows one namespace, of a cluster where nothing runs on this machine.
    Exit code 0 when everything is ready, 4 when something is not (as right after `up`, while models load),
    1 when nothing runs.

    Examples:

      bailie status

      bailie status --kubeconfig ~/.kube/config -n financial-staging
    """
    from bailie.local.detached import nothing_runs

    state = state_directory(state_dir)
    if namespace is None and kubeconfig is None:
        with failures_explained():
            if not state.running():
                raise nothing_runs(state)
        value = run(_gather(state))
    else:
        value = run(_of_namespace(namespace, kubeconfig, state_dir))
    if output is Output.JSON:
        print_json(value)
    else:
        _print_status(value)
    if any(not row[2] for row in rows(value)):
        raise typer.Exit(ExitCode.NOT_READY)


async def _of_namespace(
    namespace: str | None, kubeconfig: Path | None, state_dir: Path | None
) -> dict[str, Any]:
    from bailie.local.status import status_of_namespace

    async with connected(kubeconfig, state_dir) as client:
        value = await status_of_namespace(client, namespace or client.namespace)
    [(name, found)] = value["namespaces"].items()
    if not any(found[part] for part in ("runtimes", "schedulers", "envoys", "servers", "models")):
        text = f"namespace {name} of {value['api']} has no SeldonRuntime, no Server and no Model"
        fail(text, hint="name another namespace with -n", code=ExitCode.NOT_FOUND)
    return value


def rows(value: dict[str, Any]) -> list[tuple[str, str, bool, str]]:
    """Returns (namespace, part, ready, detail) for every part of a status."""
    found = [
        (names.LOCAL_NAMESPACE, f"operator {pod['pod']}", pod["ready"], pod["message"] or f"pid {pod['pid']}")
        for pod in value.get("operator", {}).get("pods", ())
    ]
    if prometheus := value.get("prometheus"):
        detail = prometheus["message"] or prometheus["url"]
        found.append((names.LOCAL_NAMESPACE, "prometheus", prometheus["ready"], detail))
    for name, namespace in value["namespaces"].items():
        found += [(name, *row) for row in _parts_of(namespace)]
    return found


def _parts_of(namespace: dict[str, Any]) -> Iterator[tuple[str, bool, str]]:
    """Yields (part, ready, detail) for every part of a namespace; of runtimes those that are not ready."""
    for runtime in namespace["runtimes"]:
        if not runtime["ready"]:
            yield f"runtime {runtime['name']}", False, runtime["message"] or runtime["reason"]
    for pod in namespace["schedulers"]:
        role = "leader" if pod["leader"] else "standby"
        detail = f"{role}, pid {pod['pid']}" if pod["pid"] else role
        yield f"scheduler {pod['pod']}", pod["ready"], pod["message"] or detail
    for pod in namespace["envoys"]:
        detail = pod["message"] or namespace["inference"]["http"] or "no address outside of the cluster"
        yield f"envoy {pod['pod']}", pod["ready"], detail
    for server in namespace["servers"]:
        loaded = (
            f"{counted(server['replicas'], 'replica')}, {counted(server['loadedModels'], 'model')} loaded"
        )
        yield f"server {server['name']}", server["ready"], server["message"] or loaded
    for model in namespace["models"]:
        detail = model["message"] or counted(model["availableReplicas"], "replica")
        yield f"model {model['name']}", model["ready"], detail
    for kind in ("pipeline", "experiment"):
        for each in namespace[f"{kind}s"]:
            yield f"{kind} {each['name']}", each["ready"], each["message"] or each["reason"]


def _print_status(value: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "WHAT", "READY", "DETAIL"):
        table.add_column(column, overflow="fold")
    for namespace, what, ready, detail in rows(value):
        table.add_row(namespace, what, "yes" if ready else "no", detail)
    console().print(table)
    kubeconfig = f"   kubeconfig {value['kubeconfig']}" if "kubeconfig" in value else ""
    sys.stdout.write(f"\nAPI {value['api']}{kubeconfig}\n")
