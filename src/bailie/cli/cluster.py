"""The options that say which Kubernetes API a command talks to; `local.connection` has the rule.

Commands import when they run: the client library takes longer to import than most commands take.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bailie.api.names import LONGEST_SUBDOMAIN
from bailie.api.texts import shown
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


def namespace_name(text: str) -> str:
    """Parses an option that names a namespace."""
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
        parser=namespace_name,
        metavar="NAMESPACE",
        help="The namespace.",
        show_default="the kubeconfig's",
    ),
]


def object_name(text: str) -> str:
    """Parses an argument that names an object; refuses text that would be another path of the API."""
    if not text.strip() or text in {".", ".."} or "/" in text or not text.isprintable():
        raise typer.BadParameter(f'"{shown(text)}" cannot be a name')
    if len(text) > LONGEST_SUBDOMAIN:
        raise typer.BadParameter(f'"{shown(text, 20)}" has more than {LONGEST_SUBDOMAIN} characters')
    return text


@asynccontextmanager
async def connected(kubeconfig: Path | None, state_dir: Path | None) -> AsyncIterator[Client]:
    """Opens a client on the API that the options mean, and closes it."""
    from bailie.local.connection import connect

    async with connect(kubeconfig, state_dir) as client:
        yield client


def state_directory(chosen: Path | None) -> StateDirectory:
    """Returns the state directory that was named, else the user's."""
    from bailie.local.state import chosen_state

    return chosen_state(chosen)


def local_kubeconfig(state_dir: Path | None) -> Path | None:
    """Returns the kubeconfig of the running `bailie up`, None where none runs. Raises NotRunning."""
    from bailie.local.connection import running_kubeconfig

    return running_kubeconfig(state_dir)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; a failure that the user can mend becomes a sentence and an exit code."""
    with failures_explained():
        return asyncio.run(work)
    raise AssertionError("unreachable: explained() ends the command")
