"""ObjectMeta: the part of it that Bailie reads.

The API server owns these fields; further fields are ignored.
"""

from pydantic import Field

from bailie.api.base import Int64, LooseStatus, OpenObject


class ObjectMeta(LooseStatus):
    """Name, namespace and book-keeping of an object."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: Int64 = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OpenObject, ...] = ()
