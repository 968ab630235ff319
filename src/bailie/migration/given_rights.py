"""Accounts, Roles and RoleBindings that a move makes or fills up, and takes away again. Pure.

Called by `central_steps` and by `install` with the manifests of the rights that are needed. Objects of the
same names may be there already, with other rules, or for another account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import ROLE, ROLE_BINDING, SERVICE_ACCOUNT
from bailie.migration.changes import MoveChange, create, delete, patch
from bailie.migration.facts import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.record import MoveRecord

_KINDS = {kind.kind: kind for kind in (SERVICE_ACCOUNT, ROLE, ROLE_BINDING)}


def give(facts: MoveFacts, manifests: Iterable[Object]) -> tuple[MoveChange, ...]:
    """Makes the rights that are missing.

    A Role with fewer rules gets the others, a RoleBinding for another account gets this one, too. Further
    rules and accounts stay.
    """
    return tuple(change for manifest in manifests for change in _given(facts, manifest))


def take(facts: MoveFacts, record: MoveRecord, manifests: Iterable[Object]) -> tuple[MoveChange, ...]:
    """Deletes the rights that the move made, and takes its account off RoleBindings that were there before.

    Rules that were added to a Role stay.
    """
    found: list[MoveChange] = []
    for manifest in manifests:
        kind, present = kind_and_present(facts, manifest)
        if present is not None and reference(manifest) in record.made:
            found.append(delete(kind, present))
        elif present is not None and _named(manifest) in record.made and not _unnamed(present, manifest):
            kept = [each for each in present["subjects"] if not _is_one_of(each, manifest["subjects"])]
            found.append(patch(kind, present, {"subjects": kept}))
    return tuple(reversed(found))


def absent(facts: MoveFacts, manifests: Iterable[Object]) -> tuple[str, ...]:
    """Returns the parts of the rights that are not there.

    Each is `Kind/name`, or `RoleBinding/name/subjects` where only the account in it lacks.
    """
    found = []
    for each in manifests:
        kind, present = kind_and_present(facts, each)
        if present is None:
            found.append(reference(each))
        elif kind is ROLE_BINDING and _unnamed(present, each):
            found.append(_named(each))
    return tuple(found)


def kind_and_present(facts: MoveFacts, manifest: Object) -> tuple[Kind, Object | None]:
    """Returns the kind of an object of the rights, and the object as it is in the namespace."""
    kind = _KINDS[manifest["kind"]]
    return kind, facts.here.get(kind, name_of(manifest))


def reference(item: Object) -> str:
    """Returns an object as the record names it: `Role/agent-role`."""
    return f"{item['kind']}/{name_of(item)}"


def _named(binding: Object) -> str:
    return f"{reference(binding)}/subjects"


def _given(facts: MoveFacts, manifest: Object) -> Iterator[MoveChange]:
    kind, present = kind_and_present(facts, manifest)
    if present is None:
        yield create(kind, manifest)
    elif kind is ROLE and (rules := _lacking(present, manifest)):
        yield patch(kind, present, {"rules": [*(present.get("rules") or ()), *rules]})
    elif kind is ROLE_BINDING and (subjects := _unnamed(present, manifest)):
        yield patch(kind, present, {"subjects": [*(present.get("subjects") or ()), *subjects]})


def _lacking(role: Object, wanted: Object) -> list[Object]:
    """Returns the rules of a Role that the present one does not cover."""
    present = role.get("rules") or ()
    return [rule for rule in wanted["rules"] if not any(_covers(each, rule) for each in present)]


def _covers(rule: Object, wanted: Object) -> bool:
    """Says whether a rule of a Role gives all that another one gives."""
    only = rule.get("resourceNames")
    named = not only or set(wanted.get("resourceNames") or ("",)) <= set(only)
    return named and all(
        "*" in (given := rule.get(field) or ()) or set(wanted[field]) <= set(given)
        for field in ("apiGroups", "resources", "verbs")
    )


def _unnamed(binding: Object, wanted: Object) -> list[Object]:
    """Returns the accounts that the present RoleBinding does not name."""
    return [each for each in wanted["subjects"] if not _is_one_of(each, binding.get("subjects") or ())]


def _is_one_of(subject: Object, subjects: Iterable[Object]) -> bool:
    fields = ("kind", "name", "namespace")
    return any(all(each.get(field) == subject.get(field) for field in fields) for each in subjects)
