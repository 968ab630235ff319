"""Answers to "what do you serve?": discovery and OpenAPI documents, encoded once and kept.

Called by `app.py` for authorised requests whose path names no resource. The catalogue does not change while
the server runs, so neither do its documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import errors
from kubeapi.discovery import groups, openapi, openapi_v2

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Catalogue

_JSON = "application/json"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_ASKED = (_PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
"""Clients ask with an @, which is in no media type; the answer has none."""


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
        """Returns the document at `path` in the form that the client asks for.

        Raises:
            ApiError: nothing is described there (404).
        """
        path = path.rstrip("/")
        form = groups.aggregated_version(path, accept)
        if path == "/openapi/v2" and any(each in accept for each in _PROTOBUF_ASKED):
            form = _PROTOBUF
        if (path, form) not in self._kept:
            self._kept[path, form] = self._make(path, form)
        return self._kept[path, form]

    def _make(self, path: str, form: str) -> Described:
        if form and form != _PROTOBUF:
            document: Any = groups.aggregated(self._catalogue, path, form)
            return Described(orjson.dumps(document), groups.AGGREGATED.format(version=form))
        if path.startswith("/openapi/"):
            document = openapi.document(self._catalogue, path)
            if form == _PROTOBUF and document is not None:
                return Described(openapi_v2.encode(document), _PROTOBUF)
        else:
            document = groups.document(self._catalogue, path)
        if document is None:
            raise errors.unknown_path()
        return Described(orjson.dumps(document), _JSON)
