"""Merge patch (RFC 7396), JSON patch (RFC 6902) and strategic merge, as pure functions.

Called by the PATCH handler. They return new values and never change their arguments.
"""

from __future__ import annotations

import copy
from typing import Any

Json = Any
MOST_OPERATIONS = 10_000
"""As on Kubernetes."""
MOST_COPIED = 200_000
"""Values: each `copy` may double a document."""


class PatchError(ValueError):
    """The patch does not fit the object (422); the message is for people."""


class MalformedPatchError(PatchError):
    """The patch is no patch, whatever the object (400)."""


def merge(target: Json, patch: Json) -> Json:
    """`target` with a merge patch applied."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply_json_patch(target: Json, operations: Json) -> Json:
    """`target` with the operations of a JSON patch applied in order.

    Raises:
        PatchError: an operation does not fit the target.
        MalformedPatchError: it is no JSON patch.
    """
    if not isinstance(operations, list):
        raise MalformedPatchError("a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise PatchError(f"a JSON patch has at most {MOST_OPERATIONS} operations, not {len(operations)}")
    document, copied = copy.deepcopy(target), 0
    for operation in operations:
        if (
            not isinstance(operation, dict)
            or not isinstance(operation.get("op"), str)
            or "path" not in operation
        ):
            raise MalformedPatchError("every operation needs `op` and `path`")
        if operation["op"] == "copy" and "from" in operation:
            copied += _size(_find(document, _pointer(operation["from"])))
            if copied > MOST_COPIED:
                raise PatchError(f"the operations of a JSON patch copy at most {MOST_COPIED} values")
        document = _apply(document, operation)
    return document


def _size(value: Json) -> int:
    """How many values there are in a value, as far as it matters."""
    waiting, size = [value], 0
    while waiting and size <= MOST_COPIED:
        value = waiting.pop()
        size += 1
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return size


def _apply(document: Json, operation: dict[str, Any]) -> Json:
    op, path = operation["op"], _pointer(operation["path"])
    if op in {"add", "replace", "test"} and "value" not in operation:
        raise MalformedPatchError(f"operation {op} needs `value`")
    if op == "add":
        return _add(document, path, copy.deepcopy(operation["value"]))
    if op == "remove":
        return _remove(document, path)[0]
    if op == "replace":
        _find(document, path)
        return _put(document, path, copy.deepcopy(operation["value"]))
    if op == "test":
        if not _same(_find(document, path), operation["value"]):
            raise PatchError(f"testing value {operation['path']} failed")
        return document
    if op in {"move", "copy"}:
        return _transfer(document, operation, path)
    raise MalformedPatchError(f"unknown operation {op!r}")


def _transfer(document: Json, operation: dict[str, Any], path: list[str]) -> Json:
    if "from" not in operation:
        raise MalformedPatchError(f"operation {operation['op']} needs `from`")
    source = _pointer(operation["from"])
    if operation["op"] == "copy":
        return _add(document, path, copy.deepcopy(_find(document, source)))
    if path[: len(source)] == source and len(path) > len(source):
        raise PatchError("a value cannot be moved into itself")
    document, value = _remove(document, source)
    return _add(document, path, value)


def _same(left: Json, right: Json) -> bool:
    """JSON equality: unlike Python, `true` is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    return (type(left) is type(right) and left == right) or _numbers(left, right)


def _numbers(left: Json, right: Json) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float) and left == right


def _pointer(path: Json) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise MalformedPatchError(f"{path!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _index(items: list[Json], token: str, *, end: bool) -> int:
    if end and token == "-":  # noqa: S105 - the RFC's name for "behind the last"
        return len(items)
    if not token.isascii() or not token.isdigit() or (token != "0" and token.startswith("0")):  # noqa: S105
        raise PatchError(f"{token!r} is not an index")
    position = int(token)
    if position >= len(items) + end:
        raise PatchError(f"index {position} is out of bounds")
    return position


def _find(document: Json, path: list[str]) -> Json:
    for depth, token in enumerate(path):
        if isinstance(document, list):
            document = document[_index(document, token, end=False)]
        elif isinstance(document, dict) and token in document:
            document = document[token]
        else:
            raise PatchError(f"path /{'/'.join(path[: depth + 1])} does not exist")
    return document


def _add(document: Json, path: list[str], value: Json) -> Json:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], end=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise PatchError(f"path /{'/'.join(path)} does not exist")
    return document


def _put(document: Json, path: list[str], value: Json) -> Json:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent[_index(parent, path[-1], end=False)] = value
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Json, path: list[str]) -> tuple[Json, Json]:
    if not path:
        return None, document
    value = _find(document, path)
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1], end=False)]
    else:
        del parent[path[-1]]
    return document, value
