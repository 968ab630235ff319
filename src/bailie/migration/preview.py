"""Has the API server try the first writes of a move without storing them: `dryRun=All`. Called by `plans`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.kube.client import PatchType, kind_of
from bailie.kube.errors import ApiError, Forbidden, NotFound, Unreachable
from bailie.kube.paths import object_path
from bailie.migration.changes import MoveChange, Verb
from bailie.migration.checks.resources import reference_to
from bailie.migration.difference import difference
from bailie.migration.finding import PlanFinding, blocker
from bailie.migration.writes import planned_writes

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.source import MoveSource
    from bailie.migration.writes import PlannedWrite


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
    for write in planned_writes(facts, source):
        reference = _reference(write)
        try:
            changes += [f"{reference}: {line}" for line in await _tried(client, write)]
        except Forbidden:
            continue
        except Unreachable:
            raise
        except ApiError as error:
            text = f"the API server would refuse this write of the move: {error}"
            remedy = "mend the cause that the API server names, and run the plan again"
            findings.append(blocker("dry-run", reference, text, remedy))
    return TriedWrites(tuple(changes), tuple(findings))


async def _tried(client: Client, write: PlannedWrite) -> tuple[str, ...]:
    """Returns the lines of a write that is not stored."""
    if not isinstance(write, MoveChange):
        return difference(await _present(client, write), await client.apply(write, force=True, dry_run=True))
    if write.verb is Verb.DELETE:
        return ("deleted",)
    if write.verb is Verb.CREATE:
        return difference(None, await client.create(write.body or {}, dry_run=True))
    before = await client.get(write.kind, write.name, write.namespace)
    path = object_path(write.kind, write.namespace, write.name)
    merge, params = PatchType.MERGE.value, {"dryRun": "All"}
    after = await client.call("PATCH", path, params=params, body=write.body, content_type=merge)
    return difference(before, after)


def _reference(write: PlannedWrite) -> str:
    if isinstance(write, MoveChange):
        return f"{write.kind.kind} {write.namespace}/{write.name}"
    return reference_to(write)


async def _present(client: Client, manifest: Object) -> Object | None:
    metadata = manifest["metadata"]
    try:
        return await client.get(kind_of(manifest), metadata["name"], metadata["namespace"])
    except NotFound:
        return None
