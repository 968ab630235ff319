"""The parts of a request besides the object's content: which object, and how it is written or deleted.

Made by `http.handlers`, `verbs.writing` and the controllers (`controllers.gc`, `controllers.namespaces`),
read by `objects` and `tracking`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kubeapi.storage.store import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.store import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """The options of a write request.

    `applied` says that the object comes from an apply patch and has its owners already; `guard` may refuse
    the new object, given the old one; `warnings` collects sentences for the client.
    """

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    subresource: str = ""
    force: bool = False
    applied: bool = False
    guard: Callable[[Obj, Obj | None], None] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """`DeleteOptions` of the request; `grace` in seconds, None for the kind's default."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: str | None = None
    grace: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """The object of a request: its resource, its namespace and its name."""

    resource: Resource
    namespace: str
    name: str

    @property
    def key(self) -> Key:
        """The object's key in the store."""
        return Key(self.resource.key, self.namespace, self.name)
