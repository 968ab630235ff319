"""A namespace that Seldon Core v2 serves, as facts; the modules beside make its objects from them. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Manifest = dict[str, Any]

OPERATOR = "seldon-v2-controller-manager"
OPERATOR_LEASE = "e98130ae.seldon.io"
OPERATOR_FIELDS = "manager"
"""The field manager of the operator's writes: the name of its program."""
NAME = "app.kubernetes.io/name"
SERVER = "seldon-server-name"
RELEASE = "2.9.1"
STAND_INS = "upstream-stand-ins"
"""The ConfigMap with the programs that stand for upstream's images; `standins` has them."""


class UpstreamPattern(enum.StrEnum):
    """How upstream's operator and schedulers are spread over the namespaces."""

    CENTRAL = "central"
    """The scheduler is in the operator's namespace, behind a hand-made ExternalName Service."""
    SAME = "same"
    """Operator and scheduler are in the served namespace."""
    CLUSTER_WIDE = "cluster-wide"
    """One operator with a ClusterRole, a scheduler in the served namespace."""
    LISTED = "listed"
    """As CLUSTER_WIDE, with a list of namespaces."""


class GitOps(enum.StrEnum):
    """Who puts the custom resources back from a repository."""

    ARGO = "argocd"
    FLUX = "flux"


@dataclass(frozen=True, slots=True)
class UpstreamModel:
    """A Model, as the scheduler has loaded it: its internal name is `<name>_<number>`.

    It answers the sum of each row plus `offset`, so that its answers are those of no other one.
    """

    name: str
    server: str
    offset: int
    number: int = 1

    @property
    def internal(self) -> str:
        return f"{self.name}_{self.number}"


def _official(component: str) -> str:
    return f"docker.io/seldonio/{component}:{RELEASE}"


def bailies(component: str) -> str:
    """Returns the image of Bailie's in which the stand-in runs: for a cluster that pulls nothing."""
    return "bailie-mlserver:0.1.0" if component == "mlserver" else "bailie:0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The namespace `namespace`, its Servers by name with their replicas, and its resources.

    `home` has the operator, unless that is in the served namespace, and the release of the definitions.

    `artifacts` is the folder or address in which `storageUri` of each Model finds `<model>`.
    """

    pattern: UpstreamPattern = UpstreamPattern.CENTRAL
    home: str = "seldon-system"
    namespace: str = "financial-staging"
    servers: dict[str, int] = field(default_factory=lambda: {"mlserver": 1, "second": 1})
    models: tuple[UpstreamModel, ...] = ()
    pipelines: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    envoys: int = 1
    mesh_elsewhere: bool = False
    """With a central scheduler: whether `seldon-mesh` is an ExternalName of the mesh in `home`, whose Envoys
    ask the servers here, and no Envoys are here."""
    autoscaled: bool = False
    owner: GitOps | None = None
    artifacts: str = "/mnt/models"
    claims: bool = True
    """Whether servers and scheduler have volume claims, which need a provisioner."""
    service_type: str = "ClusterIP"
    image: Callable[[str], str] = _official

    @property
    def operated_from(self) -> str:
        """The namespace of the operator."""
        return self.namespace if self.pattern is UpstreamPattern.SAME else self.home

    @property
    def clusterwide(self) -> bool:
        """Whether the operator has a ClusterRole."""
        return self.pattern is not UpstreamPattern.SAME

    @property
    def watched(self) -> tuple[str, ...]:
        """The operator's list of namespaces; empty for its own alone, or with a ClusterRole for all."""
        listed = self.pattern in {UpstreamPattern.CENTRAL, UpstreamPattern.LISTED}
        return (self.home, self.namespace) if listed else ()

    @property
    def scheduled_from(self) -> str:
        """The namespace of the scheduler."""
        return self.home if self.pattern is UpstreamPattern.CENTRAL else self.namespace

    @property
    def meshed_from(self) -> str:
        """The namespace of the Envoys that answer."""
        return self.home if self.mesh_elsewhere else self.namespace

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces that have objects of this installation."""
        return tuple(dict.fromkeys((self.home, self.operated_from, self.namespace)))

    def of_server(self, server: str) -> tuple[UpstreamModel, ...]:
        """Returns the Models on a Server."""
        return tuple(model for model in self.models if model.server == server)


def steady_models(
    count: int = 20, servers: tuple[str, ...] = ("mlserver", "second")
) -> tuple[UpstreamModel, ...]:
    """Returns Models over the servers in turn; every third one has been changed once or twice."""
    return tuple(
        UpstreamModel(f"steady-{each}", servers[each % len(servers)], 100 * (each + 1), 1 + each % 3)
        for each in range(count)
    )
