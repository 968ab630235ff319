"""Answers to "what do you serve?": discovery and OpenAPI documents, encoded once and kept.

Called by `app.py` for authorised requests whose path names no resource. The catalogue does not change while
the server runs, so neither do its documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import errors
from kubeapi.discovery import groups, openapi

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Catalogue

_JSON = "application/json"
_OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2"


@dataclass(frozen=True, slots=True)
class Described:
    """An encoded document and its media type."""

    body: bytes
    media: str


class Descriptions:
    """The documents about one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._kept: dict[tuple[str, str], Described] = {}

    def answer(self, path: str, accept: str) -> Described:
        """The document at `path` in the form that the client asks for.

        Raises:
            ApiError: nothing is described there (404), or the client wants protobuf only (406).
        """
        path = path.rstrip("/")
        form = groups.aggregated_version(path, accept)
        if (path, form) not in self._kept:
            self._kept[path, form] = self._make(path, form, accept)
        return self._kept[path, form]

    def _make(self, path: str, form: str, accept: str) -> Described:
        if form:
            document: Any = groups.aggregated(self._catalogue, path, form)
            return Described(orjson.dumps(document), groups.AGGREGATED.format(version=form))
        if path.startswith("/openapi/"):
            if _OPENAPI_V2_PROTOBUF in accept and _JSON not in accept:
                message = f"only the following media types are accepted: {_JSON}"
                raise errors.ApiError(406, "NotAcceptable", message)
            document = openapi.document(self._catalogue, path)
        else:
            document = groups.document(self._catalogue, path)
        if document is None:
            raise errors.unknown_path()
        return Described(orjson.dumps(document), _JSON)
