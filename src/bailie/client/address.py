"""The address of a namespace's data plane, as a kubeconfig leads to it.

Used by `blocking` and `asynchronous`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bailie.local.connection import connect
from bailie.local.status import inference_address

Protocol = Literal["rest", "grpc"]


async def found_address(
    namespace: str | None, kubeconfig: Path | str | None, state_dir: Path | str | None
) -> str:
    """Returns HOST:PORT of a namespace's data plane, by the same API that the commands ask.

    Raises:
        LocalError: Nothing runs in `state_dir`, or the namespace has no data plane that can be reached.
        ApiError: The API refuses or does not answer.
    """
    paths = [None if each is None else Path(each) for each in (kubeconfig, state_dir)]
    async with connect(*paths) as client:
        return await inference_address(client, namespace or client.namespace)
