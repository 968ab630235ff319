"""ServerConfig: the pod template that Servers share. A data object: nothing reconciles it by itself."""

from typing import ClassVar

from bailie.api.base import LooseStatus, OpenObject, Part
from bailie.api.kinds import SERVER_CONFIG, Kind
from bailie.api.names import label_problems
from bailie.api.pod_spec import claim_problems, pod_spec_problems
from bailie.api.problems import Problem
from bailie.api.resource import Resource


class VolumeClaimTemplate(Part):
    """A volume claim that each replica gets."""

    name: str
    """Name of the volume in the pod."""
    spec: OpenObject
    """PersistentVolumeClaimSpec."""

    def problems(self, path: str) -> list[Problem]:
        """Returns what is wrong with the claim at `path`."""
        return [*label_problems(f"{path}.name", self.name), *claim_problems(f"{path}.spec", self.spec)]


class ServerConfigSpec(Part):
    """Pods of the Servers that name this configuration."""

    pod_spec: OpenObject
    """PodSpec of a replica."""
    volume_claim_templates: tuple[VolumeClaimTemplate, ...] = ()
    """Volume claims that each replica gets."""


class EmptyStatus(LooseStatus):
    """Always empty."""


class ServerConfig(Resource):
    """The pod template that Servers share."""

    resource_kind: ClassVar[Kind] = SERVER_CONFIG

    spec: ServerConfigSpec
    """Pods of the Servers that name this configuration."""
    status: EmptyStatus = EmptyStatus()
    """Always empty."""

    def check(self) -> list[Problem]:
        """Returns the parts that no pod or claim can be made from."""
        found = pod_spec_problems("spec.podSpec", self.spec.pod_spec)
        for index, claim in enumerate(self.spec.volume_claim_templates):
            found += claim.problems(f"spec.volumeClaimTemplates[{index}]")
        return found
