"""The syntax of references between pipeline steps, and the rules they follow.

Called by `bailie.api.pipeline`. A reference is `<step>`, `<step>.inputs|outputs` or that with a tensor;
an external one names another pipeline first, and may go through `.step.<step>`.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from bailie.api.problems import Problem
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_SIDES = ("inputs", "outputs")


def reference_problems(
    path: str, references: Sequence[str], known: Collection[str], reader: str, *, pipeline: str
) -> list[Problem]:
    """Returns the mistakes in references inside the pipeline of that name.

    `known` are the names that a reference may start with. `reader` begins the sentences: `step "a"`.
    """
    found = []
    for index, reference in enumerate(references):
        sentence = _malformed(reference) or _unknown(reference, known) or _answer(reference, pipeline)
        if sentence:
            found.append(Problem(f"{path}[{index}]", "Invalid", f"{reader}: {sentence}"))
    return found


def external_problems(path: str, references: Sequence[str]) -> list[Problem]:
    """Returns the mistakes in references to other pipelines."""
    found = []
    for index, reference in enumerate(references):
        parts = reference.split(".")
        inner = parts[2:] if len(parts) > 1 and parts[1] == "step" else parts
        if len(parts) > 1 and parts[1] == "step" and not inner:
            sentence: str | None = f'"{shown(reference)}" names no step after ".step"'
        else:
            sentence = _malformed(reference, inner)
        if sentence:
            found.append(Problem(f"{path}[{index}]", "Invalid", f"the input: {sentence}"))
    return found


def cycle_problems(sources: Mapping[str, Sequence[str]], pipeline: str) -> list[Problem]:
    """Returns the first cycle through the steps' inputs and triggers, if there is one."""
    way = way_round(
        {
            step: [owner for each in references if (owner := each.split(".")[0]) != pipeline]
            for step, references in sources.items()
        }
    )
    if way is None:
        return []
    text = f"the steps {' -> '.join(way)} form a cycle; set allowCycles to permit it"
    return [Problem("spec.steps", "Invalid", text)]


def way_round(reads: Mapping[str, Collection[str]]) -> list[str] | None:
    """Returns the way of the data round one cycle, its first name again at the end; None without a cycle.

    `reads`: for each name the names that it reads from.
    """
    try:
        TopologicalSorter(reads).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def _malformed(reference: str, parts: Sequence[str] | None = None) -> str | None:
    parts = reference.split(".") if parts is None else parts
    if not reference:
        return "a reference is empty; name a source, or take the reference out"
    if not all(parts):
        return f'"{shown(reference)}" has an empty part'
    if len(parts) > 3:
        return f'"{shown(reference)}" has too many parts; write <step>.outputs.<tensor>'
    if len(parts) > 1 and parts[1] not in _SIDES:
        return f'"{shown(reference)}" must have inputs or outputs after the name, not "{shown(parts[1])}"'
    return None


def _unknown(reference: str, known: Collection[str]) -> str | None:
    name = reference.split(".", maxsplit=1)[0]
    return None if name in known else f'"{shown(reference)}" refers to "{shown(name)}", which is no step here'


def _answer(reference: str, pipeline: str) -> str | None:
    name, _, rest = reference.partition(".")
    if name != pipeline or rest.partition(".")[0] != "outputs":
        return None
    text = f'"{shown(reference)}" is the answer of this pipeline, which comes after all of its steps'
    return f'{text}; name a step, or "{pipeline}.inputs"'
