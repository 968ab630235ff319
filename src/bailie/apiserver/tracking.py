"""Field ownership: keeps `metadata.managedFields` up to date on every write.

Called by the verbs just before an object is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailie.apiserver.objects import WriteOptions
    from bailie.apiserver.resources import Resource
    from bailie.apiserver.store import Obj


def record(new: Obj, old: Obj | None, _resource: Resource, _options: WriteOptions) -> None:
    """Sets the managers of `new`, given what it replaces."""
    if old is not None and "managedFields" in old["metadata"]:
        new["metadata"].setdefault("managedFields", old["metadata"]["managedFields"])
