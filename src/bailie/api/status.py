"""Status as Knative shapes it: conditions, and the happy condition `Ready` computed from the others.

Read with every kind; written by the operator and the scheduler, which pass the time in. `reason` is a
CamelCase token for programs, `message` a text for people.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from bailie.api.base import Int64, LooseStatus

ConditionStatus = Literal["True", "False", "Unknown"]
MOST_OF_OTHERS = 50
"""Conditions of others that a status keeps when it is written: a list that others let grow is short again."""
_SELDON_CORES = frozenset({"DataflowEngineReady", "HodometerReady", "ModelGatewayReady", "StatefulSetReady"})
"""Conditions that only Seldon Core's controllers write: a status that Bailie writes does not keep them, for
nobody would correct them."""
_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
"""A time of RFC 3339. Python reads other forms, too: of weeks, for example, or without seconds."""


class Condition(LooseStatus):
    """One aspect of the present state."""

    type: str
    """Name of the aspect, for example Ready."""
    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""
    severity: str | None = None
    """Empty for an error; Warning or Info make the condition harmless."""
    last_transition_time: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When the status last changed (RFC 3339)."""
    reason: str | None = None
    """Why, as a CamelCase token for programs."""
    message: str | None = None
    """Why, as a text for people."""
    observed_generation: Int64 | None = None
    """Generation of the spec that the condition speaks of."""

    def manifest(self) -> dict[str, Any]:
        """Returns the condition as JSON data."""
        return self.model_dump(by_alias=True, exclude_none=True)


def _readable(stated: object) -> tuple[Condition, ...]:
    """Returns the conditions that can be read, the first of each type, and times only where they are times.

    Others may write a status, under a definition that lets anything pass.
    """
    found: dict[str, Condition] = {}
    for each in stated if isinstance(stated, list | tuple) else ():
        try:
            condition = Condition.model_validate(each)
        except ValidationError:
            continue
        if condition.last_transition_time and not _is_time(condition.last_transition_time):
            condition = condition.model_copy(update={"last_transition_time": None})
        found.setdefault(condition.type, condition)
    return tuple(found.values())


def _is_time(text: str) -> bool:
    """Says whether a text is a time as RFC 3339 writes one, which the API takes."""
    try:
        return _TIME.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def status_of(manifest: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Returns the status of an object; empty where there is none, or something else in its place."""
    found = (manifest or {}).get("status")
    return found if isinstance(found, dict) else {}


def told_number(manifest: Mapping[str, Any], field: str) -> int:
    """Returns a count in the status of an object; 0 where there is none that is one."""
    found = status_of(manifest).get(field)
    return found if isinstance(found, int) and found > 0 else 0


def told_conditions(manifest: Mapping[str, Any] | None) -> tuple[Condition, ...]:
    """Returns the conditions in the status of an object that can be read, one of each type."""
    return _readable(status_of(manifest).get("conditions"))


def told_condition(manifest: Mapping[str, Any] | None, kind: str) -> Condition | None:
    """Returns the condition of that type; None where there is none that can be read."""
    return next((each for each in told_conditions(manifest) if each.type == kind), None)


class ConditionedStatus(LooseStatus):
    """The fields of every status."""

    observed_generation: int | None = Field(default=None, json_schema_extra={"format": "int64"})
    """Generation of the spec that this status describes."""
    conditions: Annotated[tuple[Condition, ...], BeforeValidator(_readable)] = Field(
        default=(),
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Latest observations of the object's state."""
    annotations: dict[str, str] | None = None
    """Further status fields, for readers that know them."""

    def condition(self, condition_type: str) -> Condition | None:
        """Returns the condition of that type, None where there is none."""
        return next((c for c in self.conditions if c.type == condition_type), None)


def happy(conditions: Sequence[Condition], dependents: Iterable[str]) -> Condition:
    """Returns `Ready`: False as soon as a dependent is False, True when all are True, else Unknown."""
    by_type = {c.type: c for c in conditions}
    unknown: Condition | None = None
    for name in dependents:
        found = by_type.get(name, Condition(type=name, status="Unknown", reason="NotObserved"))
        if found.status == "False":
            return found.model_copy(update={"type": "Ready"})
        if found.status == "Unknown" and unknown is None:
            unknown = found
    if unknown is not None:
        return unknown.model_copy(update={"type": "Ready"})
    return Condition(type="Ready", status="True", reason="Ready")


def of_generation(conditions: Iterable[Condition], generation: int) -> list[Condition]:
    """Returns the conditions with the generation of the spec that they speak of."""
    return [each.model_copy(update={"observed_generation": generation}) for each in conditions]


def merge_conditions(old: Sequence[Condition], new: Sequence[Condition], now: str) -> tuple[Condition, ...]:
    """Returns `old` with `new` put over it by type, sorted; a transition time moves only with the status.

    Types that are not in `new` stay: of very many only some, and none of Seldon Core's controllers alone.
    """
    merged = {c.type: c for c in old if c.type not in _SELDON_CORES}
    for name in sorted(merged.keys() - {c.type for c in new})[MOST_OF_OTHERS:]:
        del merged[name]
    for condition in new:
        before = merged.get(condition.type)
        kept = (
            before.last_transition_time if before is not None and before.status == condition.status else None
        )
        merged[condition.type] = condition.model_copy(update={"last_transition_time": kept or now})
    return tuple(merged[name] for name in sorted(merged))
