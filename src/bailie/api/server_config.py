"""ServerConfig: the pod template that Servers share. A data object: nothing reconciles it by itself."""

from typing import ClassVar

from bailie.api.base import LooseStatus, OpenObject, Part
from bailie.api.kinds import SERVER_CONFIG, Kind
from bailie.api.resource import Resource


class VolumeClaimTemplate(Part):
    """A volume claim that each replica gets."""

    name: str
    """Name of the volume in the pod."""
    spec: OpenObject
    """PersistentVolumeClaimSpec."""


class ServerConfigSpec(Part):
    """Pods of the Servers that name this configuration."""

    pod_spec: OpenObject
    """PodSpec of a replica."""
    volume_claim_templates: tuple[VolumeClaimTemplate, ...] = ()
    """Volume claims that each replica gets."""


class EmptyStatus(LooseStatus):
    """Nobody writes it."""


class ServerConfig(Resource):
    """The pod template that Servers share."""

    resource_kind: ClassVar[Kind] = SERVER_CONFIG

    spec: ServerConfigSpec
    """Pods of the Servers that name this configuration."""
    status: EmptyStatus = EmptyStatus()
    """Nobody writes it."""
