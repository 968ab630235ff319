"""Which Kubernetes API a program of this machine talks to.

Used by `cli.cluster` and `local.data_plane`. Order: the kubeconfig that was named, then the embedded API of a
running `bailie up`, then `$KUBECONFIG` or `~/.kube/config`. The local API comes before the environment so
that `bailie up; bailie apply` never lands on another cluster; for the same reason a state directory that was
named is the only one that is asked.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bailie.kube.client import Client
from bailie.local.detached import nothing_runs
from bailie.local.settings import NoHome
from bailie.local.state import chosen_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def connect(kubeconfig: Path | None, state_dir: Path | None) -> AsyncIterator[Client]:
    """Opens a client on the API that the arguments mean, and closes it. Raises NotRunning, ApiError."""
    path = kubeconfig or running_kubeconfig(state_dir)
    client = Client.from_kubeconfig(path) if path else Client.from_environment()
    try:
        yield client
    finally:
        await client.aclose()


def running_kubeconfig(state_dir: Path | None) -> Path | None:
    """Returns the kubeconfig of the running `bailie up`, None where none runs. Raises NotRunning.

    Where `state_dir` was named, no other will do.
    """
    try:
        state = chosen_state(state_dir)
    except NoHome:  # nor a `bailie up` of this user
        return None
    if state.running() and state.kubeconfig.exists():
        return state.kubeconfig
    if state_dir is not None:
        raise nothing_runs(state)
    return None
