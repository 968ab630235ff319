"""A resource as it goes into a discovery response. Made by `resources`, sent by `asleep` and `session`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from bailie.gateway import descriptors


@dataclass(frozen=True, slots=True)
class XdsResource:
    """A named, versioned resource; `message` is the `envoy.service.discovery.v3.Resource` that is sent."""

    name: str
    version: str
    message: Any


def resource(name: str, message: Any) -> XdsResource:
    """Returns `message` as it goes into a discovery response."""
    packed = descriptors.pack(message)
    version = hashlib.blake2b(packed.value, digest_size=8).hexdigest()
    wrapped = descriptors.message_class("envoy.service.discovery.v3.Resource")(
        name=name, version=version, resource=packed
    )
    return XdsResource(name, version, wrapped)
