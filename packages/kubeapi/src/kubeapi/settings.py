"""The values with which the embedded API is started, and the places of its files.

Filled in by the program that embeds the API; read by `server`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi.storage.store import DEFAULT_KEPT_CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Start-up values.

    Attributes:
        definitions: CustomResourceDefinition manifests that are served beside the built-in kinds.
        name: the name of the installation in kubeconfigs and in the answer to `/version`.
        state_dir: the folder of all the server's files; created with mode 0700.
        log_dir: container logs, `<namespace>/<pod>/<container>.log`, for `kubectl logs`.
        addresses: the node's list of the addresses that it gave to pods, for the pods' `proxy`; without it
            there is no node, and no address is believed.
        node: the socket on which the node takes commands (`pods/commands.py`), for `kubectl exec`.
        host: the address to listen on. Loopback: the embedded API is for one machine.
        port: the port to listen on; 0 takes the port of the last start, or any free one.
        notices: returns the warnings for a client that has written an object, given the resource
            (`group/plural`) and the object.
        audit_log: the file of the audit log (`audit.py`); none by default.
        kept_changes: how many changes a watch can be behind before it gets 410 Gone.
    """

    state_dir: Path
    definitions: Sequence[Mapping[str, Any]] = ()
    name: str = "kubeapi"
    log_dir: Path | None = None
    addresses: Path | None = None
    node: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    notices: Callable[[str, dict[str, Any]], Sequence[str]] | None = None
    audit_log: Path | None = None
    kept_changes: int = DEFAULT_KEPT_CHANGES

    @property
    def database(self) -> Path:
        """Objects, changes and token hashes."""
        return self.state_dir / "objects.db"

    @property
    def pki_dir(self) -> Path:
        """The generated CA and the server's certificate."""
        return self.state_dir / "pki"

    @property
    def port_file(self) -> Path:
        """The port of the last start, so that written kubeconfigs stay right."""
        return self.state_dir / "port"

    @property
    def admin_token_file(self) -> Path:
        """The administrator's token (0600), made at the first start."""
        return self.state_dir / "admin.token"

    @property
    def admin_kubeconfig(self) -> Path:
        """The administrator's kubeconfig (0600), written at every start."""
        return self.state_dir / "admin.kubeconfig"
