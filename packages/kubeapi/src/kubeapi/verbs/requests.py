"""Reads a request: which resource, object and subresource its path names, and which verb that is.

Called by `app.py` first thing. Pure: no I/O, no rights, no objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeapi import errors
from kubeapi.access.rbac import Attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
READING = frozenset({"get", "list", "watch"})
UPGRADED = frozenset({"attach", "exec", "portforward"})
"""Subresources of Pods that take the connection over. Their verb is `create`, whatever the method: a
WebSocket begins with a GET, and an account that may only read runs nothing."""
_TRUE = frozenset({"true", "1"})
_LONGEST_NUMBER = 19
"""Digits: a number of 64 bits."""
_SHOWN = 100
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts of a resource path. An empty string stands for a part that the path does not have."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """The part of the path after `proxy`."""


def is_true(value: str | None) -> bool:
    """Says whether a boolean query parameter is true."""
    return value is not None and value.lower() in _TRUE


def whole(query: Mapping[str, str], name: str) -> int | None:
    """Returns a query parameter that is a whole number; None where it is not given.

    Raises:
        ApiError: 400 for anything else.
    """
    value = query.get(name) or ""
    if not value:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > _LONGEST_NUMBER:
        raise errors.bad_request(f'Invalid value: "{value[:_SHOWN]}": {name} must be a number')
    return int(value)


def target_of(path: str) -> Target | None:
    """Returns the target of a resource path; None for discovery and all other paths."""
    parts = path.strip("/").split("/")
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if (
        rest[0] == "namespaces"
        and len(rest) >= 3
        and not (len(rest) == 3 and _is_namespace_part(group, rest))
    ):
        namespace, rest = rest[1], rest[2:]
    else:
        namespace = ""
    if len(rest) > 3 and not (not group and rest[0] == "pods" and rest[2] == "proxy"):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(
        group=group,
        version=version,
        plural=plural,
        namespace=namespace,
        name=name,
        subresource=subresource,
        rest="/".join(rest[3:]),
    )


def _is_namespace_part(group: str, rest: list[str]) -> bool:
    return not group and rest[2] in _NAMESPACE_SUBRESOURCES


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """Returns the verb for which rights are checked."""
    verb = "create" if target.subresource in UPGRADED else _VERBS.get(method, "")
    if verb == "get" and is_true(query.get("watch")):
        return "watch"
    if not target.name:
        return {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return verb


def attributes_of(verb: str, target: Target, query: Mapping[str, str]) -> Attributes:
    """Returns the right that a request of a resource needs."""
    name = target.name
    if not name and verb in {"list", "watch", "deletecollection"}:
        name = _name_selected(query.get("fieldSelector", ""))
    namespace = target.namespace
    if target.plural == "namespaces" and not target.group:
        namespace = target.name
    return Attributes(
        verb=verb,
        group=target.group,
        resource=target.plural,
        subresource=target.subresource,
        name=name,
        namespace=namespace,
    )


def _name_selected(selector: str) -> str:
    """Returns the name if the selector is exactly `metadata.name=x`, else an empty string."""
    field, _, name = selector.replace("==", "=").partition("=")
    return name if field == "metadata.name" and "," not in name else ""
