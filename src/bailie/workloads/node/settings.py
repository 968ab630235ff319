"""The settings of the node at its start: places, programs, limits.

The supervisor (`bailie.local`) builds one `NodeSettings`; every module of the node reads it, none changes it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.kube.backoff import Backoff
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROXIES = (variables.HTTP_PROXY, variables.HTTPS_PROXY, variables.NO_PROXY)
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *PROXIES,
    *map(str.lower, PROXIES),
)
"""Variables that a pod's processes get from the supervisor; everything else comes from the manifest."""


def inherited_environment() -> dict[str, str]:
    """Returns the part of this process's environment that pods get, so that no stray credential reaches
    them."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}  # noqa: TID251


@dataclass(frozen=True, slots=True)
class Program:
    """The program that an image stands for on a laptop.

    `argv` may hold `$(VAR)`, expanded with the container's environment; a container's `args` are appended.
    `title` and `hint` make the sentence for people when `argv[0]` is missing:
    `<title> is not installed at <argv[0]>: <hint>`. Without a variable of `needs` in its container the
    program is not started. `address` names the variable by which the program learns where to listen; it is
    the pod's address here, whatever the manifest says: all addresses of a pod are all of the machine.
    """

    title: str
    argv: tuple[str, ...]
    hint: str = ""
    needs: tuple[str, ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Everything the node needs to know. Paths are absolute; times are seconds, sizes bytes."""

    state_dir: Path
    api_url: str
    api_ca: Path  # PEM file of the certificate authority that signed the API's certificate
    programs: Mapping[str, Program]  # by the image's last path segment without its tag
    environment: Mapping[str, str] = field(default_factory=inherited_environment)
    local_roots: tuple[Path, ...] = ()  # folders that models may come from: BAILIE_LOCAL_ROOTS of the pods
    node_name: str = "local"
    grace: float = 10.0  # for pods that name no terminationGracePeriodSeconds
    shutdown_grace: float = 20.0  # at most, for all pods when the node ends: nothing is left to drain to
    back_off: Backoff = field(default_factory=lambda: Backoff(initial=1.0, maximum=60.0, jitter=0.0))
    back_off_reset: float = 600.0  # a run of this length is no crash loop: the next failure is the first
    config_retry: float = 10.0  # the longest wait after a start that a manifest or this machine prevented
    log_max_bytes: int = 20 * 1024 * 1024  # a log that grows beyond is moved to `<container>.1.log`
    log_check_seconds: float = 2.0  # in so long, a model that writes without end has written a gigabyte
    token_seconds: int = 365 * 24 * 3600  # tokens die with their pod; a long life spares a renewal

    @property
    def logs_dir(self) -> Path:
        """`<namespace>/<pod>/<container>.log` below it; the API server reads them for `kubectl logs`."""
        return self.state_dir / "logs"

    @property
    def pods_dir(self) -> Path:
        """One directory per pod uid: volumes, kubeconfig, working directory; gone with the pod."""
        return self.state_dir / "node" / "pods"

    @property
    def claims_dir(self) -> Path:
        """`<namespace>/<claim>`: the folders that PersistentVolumeClaims stand for; outlives pods."""
        return self.state_dir / "node" / "claims"

    @property
    def endpoints_dir(self) -> Path:
        """`<namespace>/<service>.json` and `.hosts`: service discovery for the pods' processes."""
        return self.state_dir / "node" / "endpoints"

    @property
    def addresses_file(self) -> Path:
        """The loopback addresses given to pods, kept so that they stay the same. The API server reads it."""
        return self.state_dir / "node" / "addresses.json"

    @property
    def commands_socket(self) -> Path:
        """Where the API server hands over the commands of `kubectl exec`."""
        return self.state_dir / "node" / "commands.sock"

    @property
    def records_dir(self) -> Path:
        """Records of the started processes, so that the next supervisor can adopt them."""
        return self.state_dir / "node" / "records"
