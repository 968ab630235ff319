"""The common part of all kinds: `parse`, which gives the object or the whole list of its mistakes.

Kinds derive from `Resource` and add `check`. A problem with reason `NoEffect` is a warning: the field is
accepted, as upstream accepts it, and nothing acts on it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError

from bailie.api.annotations import unread_annotations
from bailie.api.base import Part
from bailie.api.kinds import Kind
from bailie.api.metadata import ObjectMeta
from bailie.api.names import NameRule
from bailie.api.parsing import DEEPEST, TooDeepError, problems_of, without_faults, without_nulls
from bailie.api.problems import Problem

NO_EFFECT = "NoEffect"


class Resource(Part):
    """A custom resource: type, metadata, and in the kinds spec and status."""

    resource_kind: ClassVar[Kind]
    name_rule: ClassVar[NameRule | None] = None
    """The rule for the object's name; None where any name is taken that Kubernetes takes."""

    api_version: str = Field(description="Group and version of the kind.")
    kind: str = Field(description="Name of the kind.")
    metadata: ObjectMeta

    @classmethod
    def parse(cls, manifest: Mapping[str, Any]) -> tuple[Self | None, list[Problem]]:
        """Returns the object and every problem; None in its place when one of them is more than a warning.

        Others write a status: a mistake there does not make the spec invalid, and counts as not written.
        """
        status = cls.model_fields.get("status")
        if status is None:
            return cls._parse(manifest)
        parsed, found = cls.parse_without_status(manifest)
        if parsed is None or not manifest.get("status"):
            return parsed, found
        return parsed.model_copy(update={"status": type(status.default).told(manifest["status"])}), found

    @classmethod
    def parse_without_status(cls, manifest: Mapping[str, Any]) -> tuple[Self | None, list[Problem]]:
        """Returns what `parse` does of the object without its status, for those who do not need that."""
        return cls._parse({key: value for key, value in manifest.items() if key != "status"})

    @classmethod
    def _parse(cls, manifest: Mapping[str, Any]) -> tuple[Self | None, list[Problem]]:
        found = _type_problems(cls.resource_kind, manifest)
        try:
            parsed = cls.read(without_nulls(manifest))
        except TooDeepError:
            return None, [Problem("", "Invalid", f"objects and lists are more than {DEEPEST} levels deep")]
        except ValidationError as error:
            found += problems_of(error, cls)
            return None, found + cls._further(manifest, error)
        found += parsed.all_checks()
        return (None if has_errors(found) else parsed), found

    @classmethod
    def _further(cls, manifest: Mapping[str, Any], error: ValidationError) -> list[Problem]:
        """Returns what else is wrong where the fields at fault can be left out: all is told at once."""
        try:
            rest = cls.read(without_faults(manifest, error))
        except ValidationError:
            return []
        told = {problem.path for problem in problems_of(error, cls)}
        return [problem for problem in rest.all_checks() if problem.path not in told]

    def all_checks(self) -> list[Problem]:
        """Returns the mistakes that types alone cannot express, of every kind and of this one."""
        names = self.name_rule.problems("metadata.name", self.metadata.name) if self.name_rule else []
        unread = unread_annotations(self.resource_kind.kind, self.metadata.annotations)
        warnings = [no_effect(f"metadata.annotations[{name}]", words) for name, words in unread.items()]
        return [*names, *self.check(), *warnings]

    def check(self) -> list[Problem]:
        """Returns the mistakes that types alone cannot express; the kinds override it."""
        return []


def has_errors(problems: list[Problem]) -> bool:
    """Says whether one of the problems is more than a warning."""
    return any(p.reason != NO_EFFECT for p in problems)


def no_effect(path: str, why: str = "Bailie accepts this field and does nothing with it") -> Problem:
    """Returns the warning for a field that nothing acts on."""
    return Problem(path, NO_EFFECT, why)


def _type_problems(kind: Kind, manifest: Mapping[str, Any]) -> list[Problem]:
    expected = {"apiVersion": kind.api_version, "kind": kind.kind}
    return [
        Problem(name, "Invalid", f'must be "{value}", not "{manifest[name]}"')
        for name, value in expected.items()
        if isinstance(manifest.get(name), str) and manifest[name] != value
    ]
