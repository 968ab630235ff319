"""Which Kubernetes API a command talks to, and the options that say so.

Order: `--kubeconfig`, then the embedded API of a running `bailie up`, then `$KUBECONFIG` or `~/.kube/config`.
The local one comes before the environment so that `bailie up; bailie apply` never lands on another cluster;
for the same reason a state directory that was named is the only one that is asked.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bailie.cli.output import failures_explained
from bailie.settings.fields import users_path
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from bailie.kube.client import Client
    from bailie.local.state import StateDirectory

T = TypeVar("T")


def _directory(text: str) -> Path:
    """Returns the absolute path, so that a printed path holds in any folder; refuses a blank one."""
    if not text.strip():
        raise typer.BadParameter("is blank; name a folder")
    try:
        return users_path(text).absolute()
    except ValueError as error:
        raise typer.BadParameter(f"cannot be used: {error}") from error


def _namespace(text: str) -> str:
    from bailie.api.names import label_problems

    if problems := label_problems("", text):
        raise typer.BadParameter(problems[0].message)
    return text


StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        parser=_directory,
        metavar="PATH",
        help="State directory of one `bailie up`.",
        envvar=variables.STATE_DIR,
        show_default="the user's state folder",
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="The cluster to talk to.", show_default="the local one if it runs"),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        parser=_namespace,
        metavar="NAMESPACE",
        help="The namespace.",
        show_default="the kubeconfig's",
    ),
]


def object_name(text: str) -> str:
    """Parses an argument that names an object; refuses text that would be another path of the API."""
    if not text.strip() or text in {".", ".."} or "/" in text:
        raise typer.BadParameter(f'"{text}" cannot be a name')
    return text


@asynccontextmanager
async def connected(kubeconfig: Path | None, state_dir: Path | None) -> AsyncIterator[Client]:
    """Opens a client on the API that the options mean, and closes it."""
    from bailie.kube.client import Client

    path = kubeconfig or local_kubeconfig(state_dir)
    client = Client.from_kubeconfig(path) if path else Client.from_environment()
    try:
        yield client
    finally:
        await client.aclose()


def state_directory(chosen: Path | None) -> StateDirectory:
    """Returns the state directory that was named, else the user's."""
    from bailie.local.settings import machine_settings
    from bailie.local.state import StateDirectory

    return StateDirectory(chosen or machine_settings().state_directory.absolute())


def local_kubeconfig(state_dir: Path | None) -> Path | None:
    """Returns the kubeconfig of the running `bailie up`, None where none runs. Raises NotRunning.

    Where `state_dir` was named, nothing else will do.
    """
    from bailie.local.detached import nothing_runs

    state = state_directory(state_dir)
    if state.running() and state.kubeconfig.exists():
        return state.kubeconfig
    if state_dir is not None:
        raise nothing_runs(state)
    return None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; a failure that the user can mend becomes a sentence and an exit code."""
    with failures_explained():
        return asyncio.run(work)
    raise AssertionError("unreachable: explained() ends the command")
