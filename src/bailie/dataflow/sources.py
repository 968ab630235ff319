"""References as sources: one source for each topic of a join, with the tensors and their new names.

Called by `compilation`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from bailie.api.problems import Problem
from bailie.api.resource import no_effect
from bailie.dataflow.plan import Joined, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.dataflow.fields import JoinFields
    from bailie.dataflow.plan import Topic

SAME_NAME = "SameName"
"""Reason of the warning that two tensors of one join get the same name."""


def data_join(fields: JoinFields) -> Joined:
    """Returns the join of a step's data: one source for each topic, in the order of their first mention.

    A reference to all tensors of a topic includes those to single ones.
    """
    return Joined(fields.kind, tuple(_by_key(fields).values()))


def trigger_join(fields: JoinFields) -> Joined:
    """Returns the join of triggers: a source for each reference, as each named tensor counts by itself."""
    distinct = dict.fromkeys((each.topic, each.tensor) for each in fields.triggers)
    sources = tuple(Source(topic, (tensor,) if tensor else ()) for topic, tensor in distinct)
    return Joined(fields.triggers_kind, sources)


def join_warnings(fields: JoinFields) -> Iterator[Problem]:
    """Yields what a join's fields ask for in vain, or with a result that is hardly meant."""
    yield from _hidden(fields)
    yield from _idle_renames(fields)
    yield from _same_names(fields)


def _by_key(fields: JoinFields) -> dict[str, Source]:
    named: dict[tuple[str, Topic], dict[str, None]] = {}
    for each in fields.references:
        named.setdefault((each.key, each.topic), {})[each.tensor] = None
    renames = _renames(fields)
    sources = {}
    for (key, topic), tensors in named.items():
        whole, new_names = "" in tensors, renames.get(key, {})
        kept = {old: new for old, new in new_names.items() if whole or old in tensors}
        sources[key] = Source(topic, () if whole else tuple(tensors), kept)
    return sources


def _hidden(fields: JoinFields) -> Iterator[Problem]:
    whole = {each.topic: each.text for each in fields.references if not each.tensor}
    for index, each in enumerate(fields.references):
        if each.tensor and each.topic in whole:
            yield no_effect(
                f"{fields.path}.{fields.field}[{index}]",
                f'{fields.of}: "{each.text}" has no effect beside "{whole[each.topic]}", which takes all',
            )


def _idle_renames(fields: JoinFields) -> Iterator[Problem]:
    tensors = {key: frozenset(source.tensors) for key, source in _by_key(fields).items()}
    for key, value in fields.renames.items():
        before, _, tensor = key.rpartition(".")
        path = f"{fields.path}.tensorMap[{key}]"
        if not value:
            yield no_effect(
                path, f'{fields.of}: the new name of "{key}" is empty, so that the tensor keeps its own'
            )
        elif before not in tensors:
            wanted = f"write {fields.field} and tensorMap alike, as <step>.outputs.<tensor>"
            yield no_effect(path, f'{fields.of}: "{key}" is no tensor of its {fields.field}; {wanted}')
        elif tensors[before] and tensor not in tensors[before]:
            yield no_effect(path, f'{fields.of}: {fields.field} do not name the tensor "{key}"')


def _same_names(fields: JoinFields) -> Iterator[Problem]:
    if fields.kind == "any":
        return  # its sources stand for each other
    names = Counter[str]()
    for source in _by_key(fields).values():
        names.update([source.renames.get(tensor, tensor) for tensor in source.tensors])
        names.update([new for old, new in source.renames.items() if not source.tensors and old != new])
    for name, count in names.items():
        if count > 1:
            yield Problem(
                f"{fields.path}.{fields.field}",
                SAME_NAME,
                f'{fields.of}: {count} tensors get the name "{name}"; give them different names in tensorMap',
            )


def _renames(fields: JoinFields) -> dict[str, dict[str, str]]:
    """Returns the new names of tensors by the beginning of their keys: read once, for there may be many."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for old, new in fields.renames.items():
        before, _, tensor = old.rpartition(".")
        if new:
            found[before][tensor] = new
    return found
