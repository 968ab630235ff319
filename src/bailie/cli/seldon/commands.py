"""The verbs of `seldon` on objects. Models, pipelines and experiments share them: the word before the verb
says which kind is meant.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bailie.api.kinds import SERVER
from bailie.cli.cluster import object_name
from bailie.cli.output import ExitCode, fail
from bailie.cli.seldon import kinds, objects, views
from bailie.cli.seldon.options import (
    ApiPlace,
    File,
    FileInstead,
    Force,
    ShowRequest,
    ShowResponse,
    WaitSeconds,
    asks_the_api,
    say_without_effect,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from bailie.api.kinds import Kind

Name = Annotated[str, typer.Argument(parser=object_name, metavar="name", help="The object's name.")]
NameInstead = Annotated[
    str | None, typer.Argument(parser=object_name, metavar="name", help="The object's name.")
]


def meant(context: typer.Context) -> kinds.LoadableKind:
    """Returns the kind of the word before the verb."""
    return kinds.BY_WORD[str(context.parent.info_name if context.parent else "")]


@asks_the_api
def load(context: typer.Context, *, place: ApiPlace, file: File, force: Force = False) -> None:
    """Apply the objects in a file.

    Example: seldon model load -f examples/iris/model.yaml
    """
    say_without_effect(force=force)
    _load([meant(context)], file, place)


def _load(wanted: Iterable[kinds.LoadableKind], file: Path, place: ApiPlace) -> None:
    objects.apply_file(file, [each.kind for each in wanted], place)


@asks_the_api
def unload(
    context: typer.Context,
    name: NameInstead = None,
    *,
    place: ApiPlace,
    file: FileInstead = None,
    force: Force = False,
) -> None:
    """Delete an object, or those in a file."""
    say_without_effect(force=force)
    objects.remove(meant(context).kind, name, file, place)


@asks_the_api
def status(
    context: typer.Context,
    name: Name,
    *,
    place: ApiPlace,
    wait: Annotated[
        str | None, typer.Option("-w", "--wait", metavar="STATE", help="Wait for it, e.g. ModelAvailable.")
    ] = None,
    timeout: WaitSeconds = 5.0,
) -> None:
    """Print an object's state as JSON.

    Example: seldon model status iris -w ModelAvailable -t 60
    """
    shown = meant(context)
    if wait is not None and wait not in shown.states:
        fail(
            f"--wait: no {shown.kind.kind} is ever {wait}",
            hint=f"the states are {', '.join(shown.states)}",
            code=ExitCode.USAGE,
        )
    _status(shown, name, place, wanted=wait, timeout=timeout)


@asks_the_api
def experiment_status(
    name: Name,
    *,
    place: ApiPlace,
    wait: Annotated[bool, typer.Option("-w", "--wait", help="Wait until it is active.")] = False,
    timeout: WaitSeconds = 5.0,
) -> None:
    """Print an Experiment's state as JSON."""
    wanted = views.ACTIVE if wait else None
    _status(kinds.BY_WORD["experiment"], name, place, wanted=wanted, timeout=timeout)


def _status(
    shown: kinds.LoadableKind, name: str, place: ApiPlace, *, wanted: str | None, timeout: float
) -> None:
    def why_not(manifest: objects.Manifest) -> str:
        return shown.why_not(manifest, wanted)

    print_message(shown.status(objects.awaited(shown.kind, name, place, why_not=why_not, timeout=timeout)))


@asks_the_api
def show_all(context: typer.Context, *, place: ApiPlace) -> None:
    """List the objects of the namespace with their states."""
    shown = meant(context)
    rows = [shown.row(each) for each in objects.listed(shown.kind, place)]
    sys.stdout.write(views.table(shown.header, rows))


@asks_the_api
def show_servers(*, place: ApiPlace) -> None:
    """List the Servers of the namespace with their replicas and loaded models."""
    told = [views.server_status(each) for each in objects.listed(SERVER, place)]
    rows = [
        (each["serverName"], str(each["availableReplicas"]), str(each["numLoadedModelReplicas"]))
        for each in told
    ]
    sys.stdout.write(views.table(("server", "replicas", "models"), rows))


@asks_the_api
def server_status(
    name: Name, *, place: ApiPlace, show_request: ShowRequest = False, show_response: ShowResponse = True
) -> None:
    """Print a Server's state as JSON."""
    if show_request:
        print_message({"name": name})
    found = objects.awaited(SERVER, name, place, why_not=lambda _: "", timeout=0.0)
    if show_response:
        print_message(views.server_status(found))


@asks_the_api
def load_all(*, place: ApiPlace, file: File, force: Force = False) -> None:
    """Apply the Models, Pipelines and Experiments in a file."""
    say_without_effect(force=force)
    _load(kinds.BY_WORD.values(), file, place)


@asks_the_api
def unload_all(*, place: ApiPlace, file: File, force: Force = False) -> None:
    """Delete the Models, Pipelines and Experiments in a file."""
    say_without_effect(force=force)
    objects.delete_all([each.manifest for each in objects.read_file(file, _every_kind())], place)


@asks_the_api
def status_of_all(
    *,
    place: ApiPlace,
    file: File,
    wait: Annotated[bool, typer.Option("-w", "--wait", help="Wait until each is ready.")] = False,
    timeout: WaitSeconds = 5.0,
) -> None:
    """Print the state of each object in a file as JSON."""
    for each in objects.read_file(file, _every_kind()):
        shown, metadata = kinds.BY_KIND[each.manifest["kind"]], each.manifest["metadata"]
        own = ApiPlace(metadata.get("namespace") or place.namespace, place.kubeconfig, place.state_dir)
        wanted = shown.ready if wait else None
        _status(shown, metadata["name"], own, wanted=wanted, timeout=timeout)


def _every_kind() -> list[Kind]:
    return [each.kind for each in kinds.BY_WORD.values()]


def print_message(value: Mapping[str, Any]) -> None:
    """Prints a message as upstream does: JSON on one line."""
    sys.stdout.write(json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n")
