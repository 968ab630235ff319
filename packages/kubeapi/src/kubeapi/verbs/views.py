"""The form in which a client wants to see objects: as they are, as a Table, or their metadata only.

Called by `http.handlers` for get, list and watch, with the Accept header. Decides nothing about which
objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi import clock
from kubeapi.printing import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeapi.registry.catalogue import Resource

Obj = dict[str, Any]

_TABLE, _PARTIAL, _PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class View:
    """One client's view of one resource; `form` is empty for objects as they are."""

    resource: Resource
    form: str
    include: str

    def one(self, obj: Obj) -> Obj:
        """Returns the answer to a get."""
        if self.form == _TABLE:
            return self._table([obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
        return table.partial(obj) if self.form else obj

    def many(self, listed: Obj) -> Obj:
        """Returns the answer to a list, made from the plain list."""
        items = [self._typed(item) for item in listed["items"]]
        if self.form == _TABLE:
            return self._table(items, listed["metadata"])
        if self.form:
            rows = [table.partial(item) for item in items]
            kind = {"kind": _PARTIAL_LIST, "apiVersion": "meta.k8s.io/v1"}
            return {**kind, "metadata": listed["metadata"], "items": rows}
        return listed

    def watched(self) -> Callable[[Obj], Obj]:
        """Returns a function from each object of a watch to its form; the first one brings the columns."""
        if self.form != _TABLE:
            return self.one
        first = True

        def show(obj: Obj) -> Obj:
            nonlocal first
            headers, first = first, False
            is_object = "uid" in obj["metadata"]  # a bookmark has only a revision
            version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return self._table([obj] if is_object else [], version, headers=headers)

        return show

    def _typed(self, item: Obj) -> Obj:
        kind = self.resource.kind
        return {"apiVersion": kind.api_version, "kind": kind.kind, **item}

    def _table(self, objects: list[Obj], metadata: Mapping[str, Any], *, headers: bool = True) -> Obj:
        return table.render(
            self.resource,
            objects,
            metadata=metadata,
            include=self.include,
            now=clock.now(),
            headers=headers,
        )


def view_of(resource: Resource, accept: str, query: Mapping[str, str]) -> View:
    """Returns the view of the first form in the Accept header that this API has."""
    for offer in accept.split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in offer.split(";")[1:])
        form = parameters.get("as", "")
        if form in {_TABLE, _PARTIAL, _PARTIAL_LIST}:
            if parameters.get("g") == "meta.k8s.io" and parameters.get("v") == "v1":
                return View(resource, form, query.get("includeObject") or "Metadata")
        elif not form:
            break
    return View(resource, "", "")
