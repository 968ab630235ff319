"""Label and field selectors: parsing, and the question whether an object matches.

Called by `filters` with the query parameters `labelSelector` and `fieldSelector`. Pure: reads objects and
never changes them. The label grammar is Kubernetes'
(https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TOKEN = re.compile(r"\s*(!=|==|=|!|>|<|\(|\)|,|[^\s!=><(),]+)")


class SelectorError(ValueError):
    """A selector that cannot be read; the text says why (the API answers 400)."""


class Operator(StrEnum):
    """The relation between a label and the values of a requirement."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"
    GREATER = "gt"
    LESS = "lt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector; an absent label satisfies `NOT_IN` and `ABSENT`."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Says whether the labels satisfy this term."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.ABSENT:
                return value is None
            case _:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        try:
            left, right = int(value), int(next(iter(self.values)))
        except ValueError:
            return False
        return left > right if self.operator is Operator.GREATER else left < right


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; an empty selector matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Says whether the object's labels satisfy every requirement."""
        labels = (obj.get("metadata") or {}).get("labels") or {}
        return self.matches_labels(labels)

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        """Says whether these labels satisfy every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One term of a field selector, over the string that the field stands for."""

    path: str
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All terms must hold; an empty selector matches everything."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Says whether the object's fields satisfy every term; a missing field reads as ''."""
        return all((_field(obj, term.path) == term.value) is term.equal for term in self.requirements)

    def exact(self, path: str) -> str | None:
        """Returns the one value that `path` must have, None for any: with one, a list can be a look-up."""
        for term in self.requirements:
            if term.path == path and term.equal:
                return term.value
        return None


_EVERY_KIND = frozenset({"metadata.name", "metadata.namespace"})
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_BY_KIND: dict[str, frozenset[str]] = {
    "Event": frozenset({"reason", "reportingComponent", "source", "type"})
    | {f"involvedObject.{name}" for name in _INVOLVED},
    "Pod": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "Namespace": frozenset({"status.phase", "name"}),
    "Secret": frozenset({"type"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}
# Names that Kubernetes accepts for another field.
_ALIASES = {"name": "metadata.name", "source": "source.component"}


def parse_field_selector(text: str | None, kind: str) -> FieldSelector:
    """Reads `metadata.name=iris,status.phase!=Running` for objects of `kind`.

    Raises:
        SelectorError: a term without operator, or a field by which this kind cannot be selected.
    """
    terms = [term.strip() for term in (text or "").split(",")]
    return FieldSelector(tuple(_field_term(term, kind) for term in terms if term))


def _field_term(term: str, kind: str) -> FieldRequirement:
    for operator in ("!=", "==", "="):
        path, found, value = term.partition(operator)
        if found:
            break
    else:
        raise SelectorError(f"invalid selector: '{term}'; can't understand '{term}'")
    path = path.strip()
    if path not in _EVERY_KIND | _BY_KIND.get(kind, frozenset()):
        raise SelectorError(f"field label not supported: {path}")
    return FieldRequirement(_ALIASES.get(path, path), value.strip(), equal=operator != "!=")


def _field(obj: Mapping[str, Any], path: str) -> str:
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def parse_label_selector(text: str | None) -> LabelSelector:
    """Reads `app=x,tier in (a,b),!canary,zone!=c`.

    Raises:
        SelectorError: the text is not a label selector, or a key or value is not valid as a label.
    """
    tokens = _Tokens(text or "")
    requirements: list[Requirement] = []
    while tokens.peek():
        requirements.append(_requirement(tokens))
        if not tokens.peek():
            break
        tokens.expect(",")
        if not tokens.peek():
            raise SelectorError("unable to parse requirement: found '', expected: identifier after ','")
    return LabelSelector(tuple(requirements))


class _Tokens:
    """The tokens of a selector, read from the left."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def expect(self, wanted: str) -> None:
        token = self.take()
        if token != wanted:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: '{wanted}'")


def _scan(text: str) -> Iterator[str]:
    text = text.rstrip()
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:  # pragma: no cover - the pattern accepts every character
            raise SelectorError(f"unable to parse requirement: {text!r}")
        yield found.group(1)
        position = found.end()


_COMPARISONS = {">": Operator.GREATER, "gt": Operator.GREATER, "<": Operator.LESS, "lt": Operator.LESS}


def _requirement(tokens: _Tokens) -> Requirement:
    if tokens.peek() == "!":
        tokens.take()
        return Requirement(_key(tokens.take()), Operator.ABSENT)
    key = _key(tokens.take())
    operator = tokens.peek()
    if operator in ("", ","):
        return Requirement(key, Operator.EXISTS)
    tokens.take()
    if operator in ("=", "==", "!="):
        wanted = Operator.NOT_IN if operator == "!=" else Operator.IN
        return Requirement(key, wanted, frozenset({_value(key, tokens)}))
    if operator in ("in", "notin"):
        return Requirement(key, Operator(operator), _values(key, tokens))
    if operator in _COMPARISONS:
        return Requirement(key, _COMPARISONS[operator], frozenset({_number(tokens.take())}))
    raise SelectorError(
        f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
    )


def _values(key: str, tokens: _Tokens) -> frozenset[str]:
    tokens.expect("(")
    values = {_value(key, tokens)}
    while tokens.peek() == ",":
        tokens.take()
        values.add(_value(key, tokens))
    tokens.expect(")")
    return frozenset(values)


def _value(key: str, tokens: _Tokens) -> str:
    """Reads a value; nothing before `,` or `)` is the empty value, as in `key=`."""
    if tokens.peek() in ("", ",", ")"):
        return ""
    value = tokens.take()
    if not _NAME.fullmatch(value):
        raise SelectorError(
            f'values[0][{key}]: Invalid value: "{value}": a valid label must consist of {_RULE}'
        )
    return value


_RULE = (
    "alphanumeric characters, '-', '_' or '.', must start and end with an alphanumeric character, "
    "and be no more than 63 characters"
)


def _key(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise SelectorError(
            f'unable to parse requirement: <nil>: Invalid value: "{key}": name part must consist of {_RULE}'
        )
    return key


def _number(text: str) -> str:
    if not re.fullmatch(r"-?\d+", text):
        raise SelectorError(
            f"unable to parse requirement: '{text}': for 'Gt', 'Lt' operators, the value must be an integer"
        )
    return text
