"""The steps of a move as lines for a shell, for people who carry them out by other means. Pure.

Called by `bailie migrate … --print`. Each step is decided on the facts as the steps before it leave them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bailie.api.kinds import SECRET
from bailie.doctor.facts import known
from bailie.migration.changes import Verb, merge_patched
from bailie.migration.facts import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, NamespaceObjects
    from bailie.migration.helm_release import HelmRelease
    from bailie.migration.record import MoveRecord
    from bailie.migration.steps import MoveStep


def printed(steps: Iterable[MoveStep], facts: MoveFacts, record: MoveRecord, direction: str) -> str:
    """Returns the lines for kubectl; where a Helm release has an object, also the upgrade that says the
    same."""
    return "\n".join(_lines(steps, facts, record, direction)) + "\n"


def _lines(steps: Iterable[MoveStep], facts: MoveFacts, record: MoveRecord, direction: str) -> Iterator[str]:
    back = direction == "rollback"
    for step in steps:
        yield f"# {step.name}: {step.back if back else step.title}"
        decide, made = step.backward if back else step.forward, False
        while changes := decide(facts, record):
            made, facts = True, after(facts, changes[0])
            yield from _commands(changes[0])
        if not made:
            yield "# nothing to do"
        elif not back:
            yield from (line.format(namespace=record.namespace) for line in step.waits)
            yield f"# wait until {step.until}" if step.until != "nothing" else "# nothing to wait for"


def _commands(change: MoveChange) -> Iterator[str]:
    yield change.command()
    if change.helm:
        yield "# a Helm release has this object; instead, or at its next upgrade:"
        yield f"#   {change.helm}"


def after(facts: MoveFacts, change: MoveChange) -> MoveFacts:
    """Returns the facts as they are once a change has been made; controllers have not acted on it."""
    if not change.namespace:
        return _with_definition(facts, change)
    return replace(
        facts,
        here=_changed(facts.here, change),
        central=facts.central and _changed(facts.central, change),
        home=facts.home and _changed(facts.home, change),
        foreign=facts.foreign and _changed(facts.foreign, change),
        releases=tuple(_without_secret(each, change) for each in known(facts.releases)),
    )


def _without_secret(release: HelmRelease, change: MoveChange) -> HelmRelease:
    gone = (change.kind.kind, change.namespace, change.name)
    left = (each for each in release.secrets if (SECRET.kind, release.namespace, name_of(each)) != gone)
    return replace(release, secrets=tuple(left))


def _with_definition(facts: MoveFacts, change: MoveChange) -> MoveFacts:
    present = dict(known(facts.cluster.definitions))
    present[change.name] = merge_patched(present.get(change.name, {}), change.body)
    return replace(facts, cluster=replace(facts.cluster, definitions=present))


def _changed(objects: NamespaceObjects, change: MoveChange) -> NamespaceObjects:
    if change.namespace != objects.name:
        return objects
    of_kind = dict(objects.objects.get(change.kind.kind, {}))
    present = of_kind.pop(change.name, {})
    if change.verb is not Verb.DELETE:
        of_kind[change.name] = merge_patched(present, change.body)
    return replace(objects, objects={**objects.objects, change.kind.kind: of_kind})
