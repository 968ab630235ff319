"""Server-side apply and the ownership of fields (`metadata.managedFields`).

Called by `registry.tracking`: `update` for every create, replace and patch, `apply` for an apply patch. Both
return the object to store and decide nothing else (no defaults, no validation, no writing). Follows
https://kubernetes.io/docs/reference/using-api/server-side-apply/ and sigs.k8s.io/structured-merge-diff. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubeapi.apply import fieldsets
from kubeapi.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubeapi.apply.fieldsets import Path, Schema

Obj = dict[str, Any]

_APPLY, _UPDATE = "Apply", "Update"
# Owner of what was there before ownership was tracked, as Kubernetes calls it.
_BEFORE_FIRST_APPLY = "before-first-apply"
_LONGEST_MANAGER = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """The writer and its write. `now` is RFC 3339; `status` says that the kind has a status subresource."""

    manager: str
    api_version: str
    now: str
    subresource: str = ""
    status: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """The identity of an entry in managedFields; appliers are the same whatever apiVersion they use."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key by which two entries are one."""
        version = "" if self.operation == _APPLY else self.api_version
        return self.manager, self.operation, version, self.subresource

    def __str__(self) -> str:
        name = f'"{self.manager}"'
        if self.subresource:
            name += f' with subresource "{self.subresource}"'
        return name if self.operation == _APPLY else f"{name} using {self.api_version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """The fields of one owner."""

    owner: Owner
    paths: frozenset[Path]
    time: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """One field that another owner has and the applied object would change."""

    owner: Owner
    path: Path

    def as_cause(self) -> Cause:
        """Returns the entry of `details.causes`."""
        return Cause(fieldsets.path_text(self.path), "FieldManagerConflict", f"conflict with {self.owner}")


class ApplyConflict(Exception):  # noqa: N818 - Kubernetes' own name for it
    """The applied object would change fields of others (409); the text is what kubectl prints."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        self.conflicts = conflicts
        super().__init__(_conflict_message(conflicts))

    def causes(self) -> list[Cause]:
        """Returns one cause for each field, in the order of the message."""
        return [conflict.as_cause() for conflict in self.conflicts]


def _conflict_message(conflicts: list[Conflict]) -> str:
    if len(conflicts) == 1:
        (only,) = conflicts
        return f"Apply failed with 1 conflict: conflict with {only.owner}: {fieldsets.path_text(only.path)}"
    lines: list[str] = []
    for owner in dict.fromkeys(conflict.owner for conflict in conflicts):
        lines.append(f"conflicts with {owner}:")
        lines += [f"- {fieldsets.path_text(c.path)}" for c in conflicts if c.owner == owner]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def manager_from_user_agent(user_agent: str) -> str:
    """Returns the name of a writer without a `fieldManager`: the user agent up to its first slash."""
    name = user_agent.partition("/")[0]
    printable = "".join(character for character in name if character.isprintable())
    return printable[:_LONGEST_MANAGER] or "unknown"


def update(live: Obj | None, new: Obj, schema: Mapping[str, Any] | None, write: Write) -> Obj:
    """Tracks a write that is not an apply.

    The writer owns the fields that it added or modified; other owners lose the modified and removed ones.
    managedFields that the writer sent replace the present ones; an empty list gives up all ownership.

    Returns:
        `new` with its managedFields; nothing else is different.
    """
    full = fieldsets.object_schema(schema)
    sent = (new.get("metadata") or {}).get("managedFields")
    entries = _decode(sent if sent is not None else _managed(live))
    changes = fieldsets.compare(live or {}, new, full)
    owner = Owner(write.manager, _UPDATE, write.api_version, write.subresource)
    mine = frozenset(changes.added | changes.modified)
    lost = mine | changes.removed
    kept = [replace(e, paths=e.paths - lost) if e.owner.key != owner.key else e for e in entries.values()]
    before = entries.get(owner.key)
    paths = ((before.paths if before else frozenset()) - changes.removed) | mine
    time = write.now if before is None or lost else before.time
    others = [entry for entry in kept if entry.owner.key != owner.key]
    return _with_managed(new, [*others, Entry(owner, paths, time)])


def apply(
    live: Obj | None, config: Obj, schema: Mapping[str, Any] | None, write: Write, *, force: bool = False
) -> Obj:
    """Merges an applied object into the live one.

    The applier owns exactly the fields that `config` names. A field that it owned and no longer names goes,
    unless another owner has it. A change to another owner's field is a conflict; with `force` that owner
    loses the field.

    Args:
        live: the stored object, None when there is none.
        config: the applied object; for the main resource its `status` is ignored where the kind has a status
            subresource, for that subresource everything else is.
        schema: the kind's structural schema, which says how lists and maps merge.
        write: the applier.
        force: take over fields of others.

    Returns:
        The merged object with its managedFields. It equals `live` when nothing changed.

    Raises:
        ApplyConflict: other owners hold changed fields and `force` is not given.
        FieldError: the items of a keyed list cannot be told apart.
    """
    full = fieldsets.object_schema(schema)
    wanted = _wanted(config, write)
    fieldsets.check_lists(wanted, full)
    owner = Owner(write.manager, _APPLY, write.api_version, write.subresource)
    entries = _entries_before_apply(live, full, write)
    before = entries.pop(owner.key, None)
    paths = frozenset(fieldsets.field_set(wanted, full))
    merged = fieldsets.merge(_unmanaged(live), wanted, full) if live else wanted
    if before:
        held = paths.union(*(entry.paths for entry in entries.values()))
        gone, kept = fieldsets.prefixes(before.paths), fieldsets.prefixes(held) | {("f:metadata",)}
        merged = fieldsets.without(merged, full, gone=gone, kept=kept)
    changes = fieldsets.compare(_unmanaged(live), merged, full)
    changed = changes.added | changes.modified
    _refuse_conflicts(entries.values(), changed, force=force)
    lost = changed | changes.removed
    others = [replace(entry, paths=entry.paths - lost) for entry in entries.values()]
    same = before is not None and before.paths == paths and not lost
    time = before.time if before and same else write.now
    return _with_managed(merged, [*others, Entry(owner, paths, time)])


def _wanted(config: Obj, write: Write) -> Obj:
    """Returns the part of an applied object that counts for the resource or subresource."""
    body: Obj = dict(config)
    body["metadata"] = {k: v for k, v in (body.get("metadata") or {}).items() if k != "managedFields"}
    if write.subresource == "status":
        identity = {"name", "namespace"}
        metadata = {key: value for key, value in body["metadata"].items() if key in identity}
        kept: Obj = {key: body[key] for key in ("apiVersion", "kind", "status") if key in body}
        return {**kept, "metadata": metadata}
    if write.status:
        body.pop("status", None)
    return body


def _entries_before_apply(live: Obj | None, schema: Schema, write: Write) -> dict[tuple[str, ...], Entry]:
    entries = _decode(_managed(live))
    if live and not entries:
        owner = Owner(_BEFORE_FIRST_APPLY, _UPDATE, write.api_version, "")
        paths = frozenset(fieldsets.field_set(_unmanaged(live), schema))
        entries[owner.key] = Entry(owner, paths, write.now)
    return entries


def _refuse_conflicts(entries: Iterable[Entry], changed: set[Path], *, force: bool) -> None:
    conflicts = [
        Conflict(entry.owner, path)
        for entry in sorted(entries, key=lambda entry: entry.owner.key)
        for path in sorted(entry.paths & changed)
    ]
    if conflicts and not force:
        raise ApplyConflict(conflicts)


def _managed(obj: Obj | None) -> list[Obj]:
    return ((obj or {}).get("metadata") or {}).get("managedFields") or []


def _unmanaged(obj: Obj | None) -> Obj:
    """Returns the object without managedFields; empty for None."""
    if obj is None:
        return {}
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def _decode(managed: Iterable[Obj]) -> dict[tuple[str, ...], Entry]:
    entries: dict[tuple[str, ...], Entry] = {}
    for item in managed:
        if item.get("operation") not in (_APPLY, _UPDATE):
            continue  # an empty entry is how clients give up all ownership
        owner = Owner(
            item.get("manager", ""),
            item["operation"],
            item.get("apiVersion", ""),
            item.get("subresource", ""),
        )
        paths = frozenset(fieldsets.parse_fields(item.get("fieldsV1") or {}))
        entries[owner.key] = Entry(owner, paths, item.get("time") or "")
    return entries


def _with_managed(obj: Obj, entries: Iterable[Entry]) -> Obj:
    held = [entry for entry in entries if entry.paths]
    held.sort(key=lambda entry: (entry.owner.operation, entry.time, entry.owner.key))
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if held:
        metadata["managedFields"] = [_encode(entry) for entry in held]
    return {**obj, "metadata": metadata}


def _encode(entry: Entry) -> Obj:
    item = {
        "manager": entry.owner.manager,
        "operation": entry.owner.operation,
        "apiVersion": entry.owner.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fieldsets.format_fields(entry.paths),
    }
    if entry.owner.subresource:
        item["subresource"] = entry.owner.subresource
    return item
