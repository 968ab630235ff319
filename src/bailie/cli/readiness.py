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
    client: Client, manifests: Sequence[Manifest], timeout: float, progress: Progress, *, patient: bool = True
) -> None:
    """Returns when all objects that can be ready are; configurations and other groups' kinds cannot.

    A load that failed is tried again, and waited for unless the caller is not `patient`.

    Raises:
        DeadlinePassed: Some are not ready after `timeout` seconds, or one is not to be; the message says
            which, and why.
    """
    from bailie.local.errors import DeadlinePassed

    pending = {reference_of(each): (each, _UNSEEN) for each in manifests if has_readiness(each)}
    try:
        async with asyncio.timeout(timeout):
            while pending:
                seen = {name: await _present(client, each) for name, (each, _) in pending.items()}
                pending = {name: (each, why) for name, each in seen.items() if (why := _why_not(each))}
                progress([f"{name}: {why}" for name, (_, why) in pending.items()])
                for name, (each, _) in pending.items():
                    if not patient and (words := failure_of(each)):
                        raise DeadlinePassed(f"{name} cannot be loaded: {words}", hint=_look_closer(each))
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


async def _present(client: Client, manifest: Manifest) -> Manifest:
    from bailie.kube.client import kind_of

    metadata = manifest["metadata"]
    return await client.get(kind_of(manifest), metadata["name"], metadata["namespace"])


def _why_not(seen: Manifest) -> str:
    """Returns why an object is not ready, nothing when it is."""
    from bailie.local.readiness import condition, is_current

    ready = condition(seen, "Ready")
    if ready["status"] == "True":  # maybe of the version before, which answers on
        newest = condition(seen, "RolledOut")
        told = _is_of_now(newest, seen) and newest.get("message")
        return "" if is_current(seen) else str(told or _CHANGE_UNSEEN)
    return str(ready.get("message") or ready.get("reason") or _UNSEEN)


def failure_of(model: Manifest) -> str:
    """Returns the words about the failed load of a Model's present spec; nothing where it did not fail, or
    where it waits for a place or a server."""
    from bailie.lifecycle.conditions import NOT_RESPONDING
    from bailie.lifecycle.version import VersionState
    from bailie.local.readiness import condition

    rolled_out = condition(model, "RolledOut")
    waiting = {NOT_RESPONDING, *(state.value for state in VersionState if state is not VersionState.FAILED)}
    failed = rolled_out["status"] == "False" and rolled_out.get("reason") not in waiting
    if not failed or not _is_of_now(rolled_out, model):
        return ""
    return str(rolled_out.get("message") or rolled_out.get("reason"))


def _is_of_now(condition: Manifest, seen: Manifest) -> bool:
    """Says whether a condition speaks of the object's present spec."""
    return bool(condition.get("observedGeneration") == seen["metadata"].get("generation"))
