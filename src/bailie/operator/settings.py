"""The operator's environment, read once when the process starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bailie.manifests.fences import Fence
from bailie.scope.claim import OPERATOR_DEPLOYMENT
from bailie.scope.watch_list import parse_watch_list
from bailie.settings import fields, shared
from bailie.settings.reader import read
from bailie.wellknown import ports, variables

if TYPE_CHECKING:
    from collections.abc import Mapping


def _namespaces(value: str) -> tuple[str, ...]:
    namespaces, problems = parse_watch_list(value)
    if problems:
        raise ValueError("; ".join(str(problem) for problem in problems))
    return namespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """Settings that the operator needs before its first request to the API."""

    namespace: str = field(metadata=shared.NAMESPACE)
    """Configurations that all namespaces share are here."""
    pod_name: str = field(metadata=shared.POD_NAME)
    """Identity among the operator's replicas."""
    address: str = field(default=shared.LOOPBACK, metadata=shared.ADDRESS)
    port: int = ports.HEALTH
    """Where `/live`, `/ready`, `/metrics` and `/namespaces/` are served; 0 takes a free port."""
    watch: tuple[str, ...] = field(
        default=(),
        metadata=fields.custom(
            variables.WATCH_NAMESPACES,
            "Namespaces to serve, where no ConfigMap has the list.",
            allowed="names of namespaces, separated by commas",
            parse=_namespaces,
        ),
    )
    clusterwide: bool = field(
        default=False,
        metadata=fields.flag(
            variables.CLUSTERWIDE, "Without a list, serve all namespaces instead of the operator's own."
        ),
    )
    scope_config_map: str = field(
        default="",
        metadata=fields.text(
            variables.SCOPE_CONFIGMAP,
            "The ConfigMap in the operator's namespace that has the list of namespaces, and is followed.",
            "the name of a ConfigMap",
        ),
    )
    release: str = field(
        default=OPERATOR_DEPLOYMENT,
        metadata=fields.text(
            variables.RELEASE,
            "Together with the namespace, names this installation in its claims.",
            "the name of an installation",
        ),
    )
    fence: Fence = field(default=Fence(), metadata=fields.group(Fence))
    log_level: str = field(default="info", metadata=shared.LOG_LEVEL)

    @property
    def installation(self) -> str:
        """Returns the owner of claims on namespaces: all replicas of one installation are one owner."""
        return f"{self.namespace}/{self.release}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the process's environment, or the one given. Raises SettingsError."""
        return read(cls, os.environ if environment is None else environment)  # noqa: TID251
