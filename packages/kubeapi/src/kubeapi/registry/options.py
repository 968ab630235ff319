"""What a request says besides the object: which object, and how it is to be written or deleted.

Made by the handlers and by our own controllers, read by the verbs (`objects`, `tracking`).
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
    """What a write request says besides the object.

    `applied` says that the object comes from an apply patch and has its owners already; `guard` may refuse
    the new object, given the old one; `warnings` collects what to tell the client.
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
    """Which object a request means."""

    resource: Resource
    namespace: str
    name: str

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(self.resource.key, self.namespace, self.name)
