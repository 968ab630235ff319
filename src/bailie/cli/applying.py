"""Applies the objects of files: the API server tries all of them before the first one is written.

Used by `resources`, `serve` and `seldon.objects`. So a file with one wrong object leaves nothing half done;
kubectl writes the objects before the wrong one, and those after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from bailie.api.texts import counted
from bailie.cli.files import end_with, put_into
from bailie.cli.output import fail, say, way_on
from bailie.cli.readiness import reference_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bailie.cli.files import FoundObject
    from bailie.kube.client import Client
    from bailie.kube.errors import ApiError

Manifest = dict[str, Any]

FIELD_MANAGER = "bailie"
_AT_A_TIME = 8
"""Requests under way while the API server tries the objects."""
_NO_SUCH_KIND = "the server could not find the requested resource"
_FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that are written first, for the others need them."""


async def apply_all(
    client: Client, found: Sequence[FoundObject], namespace: str, tell: Callable[[Manifest], None]
) -> list[Manifest]:
    """Applies all objects, or none where the API server refuses one; returns them as the API has them.

    `namespace` is that of objects that state none; `tell` is called after each write. Ends the command with a
    sentence for each refusal. Raises ApiError where the API server does not answer.
    """
    for each in found:
        put_into(each.manifest, namespace)
    _tell_repeated(found)
    ordered = sorted(found, key=lambda each: each.manifest["kind"] not in _FIRST)
    await _refuse_refused(client, ordered)
    applied: list[Manifest] = []
    for each in ordered:
        applied.append(await _written(client, each, f"{len(applied)} of {len(ordered)} objects were applied"))
        tell(applied[-1])
    return applied


async def _written(client: Client, each: FoundObject, so_far: str) -> Manifest:
    """Writes one object; ends the command where the API server does not take it after all."""
    from bailie.kube.errors import ApiError

    def tell(warning: str) -> None:
        say(f"warning: {reference_of(each.manifest)}: {warning}")

    try:
        return await _apply(client.hearing(tell), each.manifest)
    except ApiError as error:
        hint, code = way_on(error)
        fail(each.told(f"{error}; {so_far}"), hint=hint or "run the command again", code=code)


async def _apply(client: Client, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
    return await client.apply(manifest, field_manager=FIELD_MANAGER, force=True, strict=True, dry_run=dry_run)


def _tell_repeated(found: Iterable[FoundObject]) -> None:
    names = [(each.manifest["metadata"].get("namespace"), reference_of(each.manifest)) for each in found]
    for (_, reference), count in Counter(names).items():
        if count > 1:
            say(f"warning: {reference} is in the files {count} times: the last one counts")


async def _refuse_refused(client: Client, found: Sequence[FoundObject]) -> None:
    """Ends the command where the API server refuses one of the objects that it tries."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def refusal(each: FoundObject) -> ApiError | None:
        async with gate:
            return await _refusal(client, each.manifest)

    answers = await asyncio.gather(*map(refusal, found))
    pairs = [(each, error) for each, error in zip(found, answers, strict=True) if error is not None]
    refused = [(each, error) for each, error in pairs if not _is_to_be_made(each.manifest, error, found)]
    if refused:
        hint, code = way_on(refused[0][1])
        nothing = "nothing was applied"
        end_with(_folded(refused), hint=f"{hint}; {nothing}" if hint else nothing, code=code)


async def _refusal(client: Client, manifest: Manifest) -> ApiError | None:
    """Returns why the API server refuses an object. Raises ApiError where it would refuse any."""
    from bailie.kube.errors import ApiError, Unauthorized

    try:
        await _apply(client, manifest, dry_run=True)
    except Unauthorized:
        raise
    except ApiError as error:
        if error.temporary or not error.status:
            raise
        return error
    return None


def _words(manifest: Manifest, error: ApiError) -> str:
    """Returns the server's sentence, in which an unknown kind is a resource that was not found."""
    if str(error) != _NO_SUCH_KIND:
        return str(error)
    kind = f"{manifest['kind']} in {manifest['apiVersion']}"
    return f"the API server has no kind {kind}: apply its CustomResourceDefinition first, or mend apiVersion"


def _is_to_be_made(manifest: Manifest, error: ApiError, found: Iterable[FoundObject]) -> bool:
    """Says whether an object is refused only because its namespace, or its definition, is in the files."""
    from bailie.kube.errors import Invalid, NotFound

    made = [each.manifest for each in found if each.manifest["kind"] in _FIRST]
    group = manifest["apiVersion"].rpartition("/")[0]
    for each in made:
        name = each["metadata"]["name"]
        if each["kind"] == "Namespace" and isinstance(error, NotFound):
            if name == manifest["metadata"].get("namespace"):
                return True
        elif isinstance(error, NotFound | Invalid) and name.endswith(f".{group}") and group:
            return True
    return False


def _folded(refused: Iterable[tuple[FoundObject, ApiError]]) -> list[str]:
    """Returns the refusals, those with the same words as one."""
    alike: dict[str, list[FoundObject]] = {}
    for each, error in refused:
        alike.setdefault(_words(each.manifest, error), []).append(each)
    return [
        first.told(f"{words} (so of {counted(len(others), 'more object')})" if others else words)
        for words, (first, *others) in alike.items()
    ]
