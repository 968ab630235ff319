"""Whether this process's copy of the API is up to date, asked once when a term begins.

Called by `namespace`. A standby follows the API by watches, and a watch can be silent for two minutes before
it is known to be broken. A leader that does not know the newest Models would unload them, so a term begins
with a list that is compared with the copy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from bailie.kube.errors import ApiError
from bailie.kube.informer import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.kube.client import Client
    from bailie.kube.informer import Informer

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 10.0
"""How long a copy may stay behind once the comparison begins; the process then starts anew, with a list."""
LIST_SECONDS = 60.0
"""How long the first list of a kind may take once the term begins; another scheduler may have it already."""
_PAUSE_SECONDS = 0.2


class Stale(RuntimeError):  # noqa: N818 - the name of the state
    """The copy of one kind's objects does not follow the API; the message names the kind."""


async def current(
    client: Client,
    informer: Informer,
    patience: float = PATIENCE_SECONDS,
    list_seconds: float = LIST_SECONDS,
) -> None:
    """Returns once the informer holds everything that the API has.

    Raises Stale where the first list takes more than `list_seconds`, and `patience` seconds after that.
    """
    try:
        async with asyncio.timeout(list_seconds):
            await informer.synced.wait()
    except TimeoutError:
        cause = f": {informer.failure}" if informer.failure else ""
        told = f"{informer.kind.plural} were not listed within {list_seconds:g} s{cause}"
        raise Stale(told) from None
    clock = asyncio.get_running_loop().time
    ends = clock() + patience
    while behind := await _behind(client, informer):
        if clock() >= ends:
            raise Stale(f"the copy of {informer.kind.plural} is behind the API: {behind}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _behind(client: Client, informer: Informer) -> str:
    """Returns the name of an object that the copy lacks, or why that is not known; empty for none."""
    try:
        listed = await client.list(informer.kind, informer.namespace)
    except ApiError as error:
        log.info("copy not compared", kind=informer.kind.kind, error=str(error))
        return str(error)
    for item in listed.items:
        if _mark(item) > _mark(informer.store.get(key_of(item))):
            return str(item["metadata"]["name"])
    return ""


def _mark(manifest: Mapping[str, Any] | None) -> tuple[str, int]:
    """Returns a mark that grows: with the generation of an object, and from an object to its successor."""
    if manifest is None:
        return "", 0
    metadata = manifest["metadata"]
    return str(metadata.get("creationTimestamp") or "-"), int(metadata.get("generation") or 0)
