"""Objects of the Kubernetes API as the verbs of `seldon` need them: applied, read, deleted, awaited.

Used by `commands`. Objects are checked as `bailie apply` checks them.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL
from bailie.api.status import told_conditions
from bailie.cli.applying import apply_all
from bailie.cli.cluster import connected, run
from bailie.cli.files import valid_objects
from bailie.cli.output import ExitCode, fail
from bailie.cli.readiness import reference_of
from bailie.cli.resources import delete_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bailie.api.kinds import Kind
    from bailie.cli.files import FoundObject
    from bailie.cli.seldon.options import ApiPlace

Manifest = dict[str, Any]

_POLL_SECONDS = 0.1


def read_file(path: Path, kinds: Iterable[Kind]) -> list[FoundObject]:
    """Returns the objects of a file; ends the command where one is of another kind, or not valid."""
    found = valid_objects([path])
    known = [kind.kind for kind in kinds]
    for each in found:
        if each.manifest["kind"] not in known:
            text = f"{path} has a {each.manifest['kind']}; this command takes {' and '.join(known)}"
            fail(text, hint="`bailie apply -f` takes every kind", code=ExitCode.USAGE)
    return found


def apply_file(path: Path, kinds: Iterable[Kind], place: ApiPlace) -> list[Manifest]:
    """Applies the objects of a file, prints `{}` for each, and returns them as the API has them."""
    found = read_file(path, kinds)

    async def send() -> list[Manifest]:
        async with connected(place.kubeconfig, place.state_dir) as client:
            namespace = place.namespace or client.namespace
            return await apply_all(client, found, namespace, lambda each: print_done(reference_of(each)))

    return run(send())


def print_done(_: str) -> None:
    """Prints what upstream's scheduler answers to a change: an empty message."""
    sys.stdout.write("{}\n")


def remove(kind: Kind, name: str | None, path: Path | None, place: ApiPlace) -> None:
    """Deletes an object by name, or those of a file; prints `{}` for each."""
    if (name is None) == (path is None):
        fail(f"name one {kind.kind}, or a file with -f", code=ExitCode.USAGE)
    if path is not None:
        delete_all([each.manifest for each in read_file(path, (kind,))], place)
        return
    delete_all(
        [{"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": str(name)}}],
        place,
    )


def delete_all(manifests: list[Manifest], place: ApiPlace) -> None:
    """Deletes objects and prints `{}` for each; ends the command where one was not there."""

    async def send() -> list[str]:
        async with connected(place.kubeconfig, place.state_dir) as client:
            return await delete_objects(client, manifests, place.namespace or client.namespace, print_done)

    if absent := run(send()):
        fail("; ".join(absent), code=ExitCode.NOT_FOUND)


def listed(kind: Kind, place: ApiPlace) -> list[Manifest]:
    """Returns the objects of a kind in the namespace, by name."""

    async def read() -> list[Manifest]:
        async with connected(place.kubeconfig, place.state_dir) as client:
            found = (await client.list(kind, place.namespace or client.namespace)).items
        return sorted(found, key=lambda each: str(each["metadata"]["name"]))

    return run(read())


def awaited(
    kind: Kind, name: str, place: ApiPlace, *, why_not: Callable[[Manifest], str], timeout: float
) -> Manifest:
    """Returns the object once `why_not` says nothing against it.

    Ends the command after `timeout` seconds with the last of its sentences, and at once when an object of
    this kind is not run at all.
    """

    async def look() -> tuple[Manifest, str]:
        deadline = asyncio.get_running_loop().time() + timeout
        async with connected(place.kubeconfig, place.state_dir) as client:
            while True:
                seen = await client.get(kind, name, place.namespace or client.namespace)
                why = why_not(seen)
                late = asyncio.get_running_loop().time() >= deadline
                if not why or late or is_not_run(seen):
                    return seen, why
                await asyncio.sleep(_POLL_SECONDS)

    found, why = run(look())
    if why and is_not_run(found):
        fail(f"{reference_of(found)}: {why}", code=ExitCode.NOT_READY)
    if why:
        hint = f"`bailie explain model {name}`" if kind is MODEL else ""
        fail(
            f"{reference_of(found)}: {why}, after {timeout:g} s",
            hint=hint,
            code=ExitCode.NOT_READY,
        )
    return found


def is_not_run(manifest: Manifest) -> bool:
    """Tells whether its controller has said that this version of Bailie does not run the object's kind."""
    return any(each.reason == "NotSupported" for each in told_conditions(manifest))
