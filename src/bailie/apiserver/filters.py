"""Label and field selectors of a request as one predicate over objects.

Called by list, watch and deletecollection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.apiserver.resources import Resource
    from bailie.apiserver.store import Obj


def selector_of(query: Mapping[str, str], _resource: Resource) -> Callable[[Obj], bool] | None:
    """What the request selects; None when it selects everything."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not labels and not fields:
        return None
    terms = [term for term in labels.split(",") if term]
    paths = [term for term in fields.split(",") if term]

    def matches(obj: Obj) -> bool:
        found = obj["metadata"].get("labels") or {}
        return all(_label(found, term) for term in terms) and all(_field(obj, term) for term in paths)

    return matches


def _label(labels: Mapping[str, str], term: str) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    key, equals, value = term.replace("==", "=").partition("=")
    return labels.get(key) == value if equals else key in labels


def _field(obj: Obj, term: str) -> bool:
    negated = "!=" in term
    path, _, value = term.replace("!=", "=").replace("==", "=").partition("=")
    found: object = obj
    for key in path.split("."):
        found = found.get(key, "") if isinstance(found, dict) else ""
    return (str(found) == value) != negated
