"""Has the API server try the first writes of a move without storing them: `dryRun=All`. Called by `plans`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.kube.client import kind_of
from bailie.kube.errors import ApiError, Forbidden, NotFound, Unreachable
from bailie.kube.paths import object_path
from bailie.migration.checks.resources import reference_to
from bailie.migration.difference import difference
from bailie.migration.finding import PlanFinding, blocker
from bailie.migration.writes import MergePatch, first_applies, first_patches

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource

_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class TriedWrites:
    """The differences that the first writes would make, and the writes that the API server would refuse."""

    changes: tuple[str, ...] = ()
    findings: tuple[PlanFinding, ...] = ()


async def try_writes(client: Client, facts: MoveFacts, source: MoveSource) -> TriedWrites:
    """Returns the differences. Writes for which the account lacks the right are left out. Raises Unreachable.

    The check of rights names what lacks.
    """
    changes: list[str] = []
    findings: list[PlanFinding] = []
    writes: list[Object | MergePatch] = [*first_applies(facts, source), *first_patches(facts, source)]
    for write in writes:
        reference = write.reference if isinstance(write, MergePatch) else reference_to(write)
        try:
            before, after = await _tried(client, write)
        except Forbidden:
            continue
        except Unreachable:
            raise
        except ApiError as error:
            text = f"the API server would refuse this write of the move: {error}"
            remedy = "mend the cause that the API server names, and run the plan again"
            findings.append(blocker("dry-run", reference, text, remedy))
        else:
            changes += [f"{reference}: {line}" for line in difference(before, after)]
    return TriedWrites(tuple(changes), tuple(findings))


async def _tried(client: Client, write: Object | MergePatch) -> tuple[Object | None, Object]:
    """Returns an object before and after a write that is not stored."""
    if isinstance(write, MergePatch):
        path = object_path(write.kind, write.namespace, write.name)
        params = {"dryRun": "All"}
        before = await client.get(write.kind, write.name, write.namespace)
        return before, await client.call("PATCH", path, params=params, body=write.body, content_type=_MERGE)
    return await _present(client, write), await client.apply(write, force=True, dry_run=True)


async def _present(client: Client, manifest: Object) -> Object | None:
    metadata = manifest["metadata"]
    try:
        return await client.get(kind_of(manifest), metadata["name"], metadata["namespace"])
    except NotFound:
        return None
