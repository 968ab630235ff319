"""Merge patch (RFC 7396) and JSON patch (RFC 6902) as pure functions.

Called by `verbs.writing`. A library does the operations of a JSON patch; the limits and the words are ours.
Both functions return new values and never change their arguments.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch

Json = Any
_LIBRARY_ERRORS = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, KeyError, TypeError)
MOST_OPERATIONS = 10_000
"""As on Kubernetes."""
MOST_COPIED = 200_000
"""Values: each `copy` may double a document."""


class PatchError(ValueError):
    """The patch does not fit the object (422); the message is for people."""


class MalformedPatchError(PatchError):
    """The patch is no patch, whatever the object (400)."""


def merge(target: Json, patch: Json) -> Json:
    """Returns `target` with a merge patch applied."""
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
    """Returns `target` with the operations of a JSON patch applied in order.

    Raises:
        PatchError: an operation does not fit the target.
        MalformedPatchError: the operations are no JSON patch.
    """
    if not isinstance(operations, list):
        raise MalformedPatchError("a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise PatchError(f"a JSON patch has at most {MOST_OPERATIONS} operations, not {len(operations)}")
    document, copied = copy.deepcopy(target), 0
    for operation in operations:
        try:
            one = jsonpatch.JsonPatch([operation])
            source = jsonpatch.JsonPointer(operation["from"]) if operation["op"] == "copy" else None
        except _LIBRARY_ERRORS as error:
            raise MalformedPatchError(_said(operation, error)) from None
        try:
            copied += _size(source.resolve(document)) if source else 0
            if copied > MOST_COPIED:
                raise PatchError(f"the operations of a JSON patch copy at most {MOST_COPIED} values")
            document = one.apply(document, in_place=True)
        except jsonpatch.InvalidJsonPatch as error:
            raise MalformedPatchError(_said(operation, error)) from None
        except _LIBRARY_ERRORS as error:
            raise PatchError(_said(operation, error)) from None
    return document


def _said(operation: Json, error: Exception) -> str:
    if not isinstance(operation, dict) or isinstance(error, KeyError | TypeError):
        return (
            "every operation is an object with `op` and `path`, and with `value` or `from` where it needs one"
        )
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        return f"testing value {operation['path']} failed"
    return f"operation {operation.get('op')!r} at {operation.get('path')!r}: {error}"


def _size(value: Json) -> int:
    """Returns how many values there are in a value, counted no further than the limit needs."""
    waiting, size = [value], 0
    while waiting and size <= MOST_COPIED:
        value = waiting.pop()
        size += 1
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return size
