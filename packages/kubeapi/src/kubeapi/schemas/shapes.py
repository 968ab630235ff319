"""The types of the values in requests, checked before any other code reads them.

Called by `registry.objects`, `http.handlers` and the modules of `verbs`. On Kubernetes a body of the wrong
shape does not even decode: it gets 400, not the 422 of a value that breaks a rule. The code behind this check
may rely on every type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import errors
from kubeapi.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = dict[str, Any]

_TEXT: Shape = {"type": "string", "nullable": True}
_WHOLE: Shape = {"type": "integer", "nullable": True}
_FLAG: Shape = {"type": "boolean", "nullable": True}
_TEXTS: Shape = {"type": "array", "nullable": True, "items": {"type": "string"}}


def _object(**properties: Shape) -> Shape:
    return {"type": "object", "nullable": True, "properties": properties}


def _texts_of(*names: str) -> Shape:
    return _object(**dict.fromkeys(names, _TEXT))


DELETE_OPTIONS = _object(
    gracePeriodSeconds=_WHOLE,
    preconditions=_texts_of("uid", "resourceVersion"),
    orphanDependents=_FLAG,
    propagationPolicy=_TEXT,
    dryRun=_TEXTS,
)
# The specs of all access, rules and token reviews and of TokenRequest; their fields do not contradict.
REVIEW = _object(
    metadata=_object(),
    spec=_object(
        resourceAttributes=_texts_of(
            "namespace", "verb", "group", "version", "resource", "subresource", "name"
        ),
        nonResourceAttributes=_texts_of("path", "verb"),
        user=_TEXT,
        uid=_TEXT,
        groups=_TEXTS,
        namespace=_TEXT,
        token=_TEXT,
        audiences=_TEXTS,
        expirationSeconds=_WHOLE,
        boundObjectRef=_texts_of("kind", "apiVersion", "name", "uid"),
    ),
)
SCALE = _object(metadata=_texts_of("resourceVersion"), spec=_object(replicas=_WHOLE))


def check(what: str, shape: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Refuses a body with a value of the wrong type; other mistakes are not looked for.

    Raises:
        ApiError: 400 with the first such value.
    """
    for cause in schema.validate(dict(shape), body):
        if cause.reason == "FieldValueTypeInvalid":
            raise errors.bad_request(f"{what} cannot be read: {cause.field}: {cause.message}")
