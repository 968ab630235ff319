"""The wait of `apply --wait` and `bailie serve`: until the controllers say that objects are ready.

Used by `resources` and `serve`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.cli.progress import Progress
    from bailie.kube.client import Client

Manifest = dict[str, Any]

_POLL_SECONDS = 0.1
_UNSEEN = "its controller has not reported on it yet"
_CHANGE_UNSEEN = "its controller has not reported on this change yet"


def reference_of(manifest: Manifest) -> str:
    """Returns `kind/name`."""
    return f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"


async def wait_ready(
    client: Client, manifests: Sequence[Manifest], timeout: float, progress: Progress
) -> None:
    """Returns when all objects that can be ready are; configurations and other groups' kinds cannot.

    Raises:
        DeadlinePassed: Some are not ready after `timeout` seconds; the message says which, and why.
    """
    from bailie.local.errors import DeadlinePassed

    pending = {reference_of(each): (each, _UNSEEN) for each in manifests if has_readiness(each)}
    try:
        async with asyncio.timeout(timeout):
            while pending:
                looks = {name: await _why_not(client, each) for name, (each, _) in pending.items()}
                pending = {name: (pending[name][0], why) for name, why in looks.items() if why}
                progress([f"{name}: {why}" for name, (_, why) in pending.items()])
                if pending:
                    await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        first, _ = next(iter(pending.values()))
        raise DeadlinePassed(
            "; ".join(
                f"{name} is not ready after {timeout:g} s: {why}" for name, (_, why) in pending.items()
            ),
            hint=_look_closer(first),
        ) from error


def _look_closer(manifest: Manifest) -> str:
    """Returns the command that says more of an object that is not ready."""
    kind, metadata = manifest["kind"].lower(), manifest["metadata"]
    if kind == "seldonruntime":
        return f"bailie doctor -n {metadata['namespace']}"
    return f"bailie explain {kind} {metadata['name']} -n {metadata['namespace']}"


def has_readiness(manifest: Manifest) -> bool:
    """Says whether a controller of ours reports on the object; none does on configurations."""
    ours = manifest["apiVersion"].startswith("mlops.seldon.io/")
    return ours and not manifest["kind"].endswith("Config")


async def _why_not(client: Client, manifest: Manifest) -> str:
    """Returns why an object is not ready, nothing when it is."""
    from bailie.kube.client import kind_of
    from bailie.local.readiness import condition, is_current

    metadata = manifest["metadata"]
    seen = await client.get(kind_of(manifest), metadata["name"], metadata["namespace"])
    ready = condition(seen, "Ready")
    if ready["status"] == "True":
        return "" if is_current(seen) else _CHANGE_UNSEEN
    return str(ready.get("message") or ready.get("reason") or _UNSEEN)
