"""The operator's environment, read once when the process starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from bailie.manifests.fences import PERMISSIONS, Fence
from bailie.manifests.rbac import CONTROL_PLANE_SECRET
from bailie.scope.claim import OPERATOR_DEPLOYMENT
from bailie.scope.watch_list import parse_watch_list

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP_PORT = 9006
"""`/live`, `/ready`, `/metrics`, `/namespaces/`."""
KUBERNETES, LOCAL = "kubernetes", "local"


class SettingsError(ValueError):
    """A variable is missing or cannot be read; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """The settings that the operator needs before it can ask the API."""

    namespace: str
    """POD_NAMESPACE: where the operator runs; configurations that all namespaces share are here. Required."""
    pod_name: str
    """POD_NAME: identity among the operator's replicas. Required."""
    address: str = "127.0.0.1"
    """POD_IP: the address to listen on. Default 127.0.0.1, never all interfaces."""
    port: int = HTTP_PORT
    """Where health and metrics are served; 0 takes a free port."""
    watch: tuple[str, ...] = ()
    """WATCH_NAMESPACES: the namespaces to serve, separated by commas."""
    clusterwide: bool = False
    """CLUSTERWIDE: without a list, serve all namespaces instead of one's own."""
    workloads: str = KUBERNETES
    """BAILIE_WORKLOADS: `kubernetes` (a cluster runs the pods) or `local` (the node of a laptop does)."""
    scope_config_map: str = ""
    """BAILIE_SCOPE_CONFIGMAP: the ConfigMap here that has the list and is followed. Empty: the list above."""
    release: str = OPERATOR_DEPLOYMENT
    """BAILIE_RELEASE: with the namespace, names this installation in its claims. Default the Deployment."""
    fence: Fence = field(default_factory=Fence)
    """The rights that pod templates may ask for beyond the usual ones. BAILIE_POD_PERMISSIONS: names of
    `fences.PERMISSIONS`, BAILIE_POD_SERVICE_ACCOUNTS: accounts besides the components' own, both separated by
    commas, default none; BAILIE_TOKEN_SECRET: the Secret with the control plane's token, default
    `seldon-control-plane`."""
    log_level: str = "info"
    """SELDON_LOG_LEVEL: debug, info, warning or error."""

    @property
    def installation(self) -> str:
        """The holder of claims on namespaces: all replicas of one installation are one owner."""
        return f"{self.namespace}/{self.release}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the process's environment, or the one given. Raises SettingsError."""
        values = os.environ if environment is None else environment  # noqa: TID251
        watch, problems = parse_watch_list(values.get("WATCH_NAMESPACES", ""))
        if problems:
            raise SettingsError("WATCH_NAMESPACES: " + "; ".join(str(problem) for problem in problems))
        return cls(
            namespace=_required(values, "POD_NAMESPACE"),
            pod_name=_required(values, "POD_NAME"),
            address=values.get("POD_IP") or "127.0.0.1",
            watch=watch,
            clusterwide=_flag(values, "CLUSTERWIDE"),
            workloads=_choice(values, "BAILIE_WORKLOADS", (KUBERNETES, LOCAL)),
            scope_config_map=values.get("BAILIE_SCOPE_CONFIGMAP", "").strip(),
            release=values.get("BAILIE_RELEASE", "").strip() or OPERATOR_DEPLOYMENT,
            fence=_fence(values),
            log_level=(values.get("SELDON_LOG_LEVEL") or "info").lower(),
        )


def _fence(values: Mapping[str, str]) -> Fence:
    allowed = _names(values, "BAILIE_POD_PERMISSIONS")
    unknown = sorted(allowed - PERMISSIONS.keys())
    if unknown:
        known = ", ".join(PERMISSIONS)
        raise SettingsError(
            f'BAILIE_POD_PERMISSIONS: there is no "{unknown[0]}"; the permissions are {known}'
        )
    return Fence(
        allowed=allowed,
        accounts=_names(values, "BAILIE_POD_SERVICE_ACCOUNTS"),
        token_secret=values.get("BAILIE_TOKEN_SECRET", "").strip() or CONTROL_PLANE_SECRET,
    )


def _names(values: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(filter(None, (each.strip() for each in values.get(name, "").split(","))))


def _required(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _flag(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "").strip().lower()
    if text in {"", "false", "0", "no"}:
        return False
    if text in {"true", "1", "yes"}:
        return True
    raise SettingsError(f'{name} must be true or false, not "{text}"')


def _choice(values: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Returns one of the choices, the first when the variable is not set."""
    text = values.get(name, "").strip().lower() or choices[0]
    if text not in choices:
        raise SettingsError(f'{name} must be {" or ".join(choices)}, not "{text}"')
    return text
