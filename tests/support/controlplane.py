"""A real etcd and kube-apiserver for the contract tests, from the folder that `KUBEBUILDER_ASSETS` names.

The folder is that of `setup-envtest use -p path`. There is no controller manager in it, so nobody collects
garbage or empties namespaces there (`Cluster.controllers`). State is in a folder of the test, and both
processes listen on loopback.

    with control_plane(Path(os.environ["KUBEBUILDER_ASSETS"]), tmp_path) as kubeconfig: ...
"""

from __future__ import annotations

import contextlib
import json
import secrets
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("etcd", "kube-apiserver")
READY_SECONDS, END_SECONDS = 60.0, 15.0


def missing(assets: Path) -> str:
    """A sentence where the folder does not have what is needed; empty where it has."""
    lacking = [name for name in PROGRAMS if not (assets / name).is_file()]
    if not lacking:
        return ""
    return f"KUBEBUILDER_ASSETS names {assets}, which has no {' and no '.join(lacking)}"


@dataclass(frozen=True)
class Plan:
    """Where everything is; `commands` follow from it."""

    assets: Path
    folder: Path
    client_port: int
    peer_port: int
    api_port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.csv"

    @property
    def key(self) -> Path:
        return self.folder / "accounts.key"

    def commands(self) -> list[list[str]]:
        """The command lines in the order of their start; those of controller-runtime's envtest."""
        etcd, peers = f"http://127.0.0.1:{self.client_port}", f"http://127.0.0.1:{self.peer_port}"
        store = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": etcd,
            "advertise-client-urls": etcd,
            "listen-peer-urls": peers,
        }
        api = {
            "etcd-servers": etcd,
            "cert-dir": self.folder / "certs",
            "bind-address": "127.0.0.1",
            "secure-port": self.api_port,
            "service-cluster-ip-range": "10.0.0.0/24",
            "service-account-issuer": self.url,
            "service-account-key-file": self.key,
            "service-account-signing-key-file": self.key,
            "token-auth-file": self.tokens,
            "authorization-mode": "RBAC",
            "disable-admission-plugins": "ServiceAccount",  # which wants accounts that a controller makes
            "allow-privileged": "true",
        }
        return [
            [str(self.assets / program), *(f"--{name}={value}" for name, value in options.items())]
            for program, options in zip(PROGRAMS, (store, api), strict=True)
        ]


@contextlib.contextmanager
def control_plane(assets: Path, folder: Path) -> Iterator[Path]:
    """Runs both programs; gives the administrator's kubeconfig once the API is ready."""
    plan = Plan(assets, folder, free_port(), free_port(), free_port())
    token = secrets.token_urlsafe(32)
    plan.tokens.write_text(f'{token},admin,admin,"system:masters"\n')
    plan.key.write_bytes(_private_key())
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(_kubeconfig(plan.url, token)))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in plan.commands():
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log))
        _wait(plan, started)
        yield kubeconfig
    finally:
        for process in reversed(started):
            _end(process)


def _wait(plan: Plan, started: list[subprocess.Popen[bytes]]) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=plan.url, verify=context) as client:
        while True:
            ended = [process.args for process in started if process.poll() is not None]
            assert not ended, f"{ended} ended; see the logs in {plan.folder}"
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").is_success:
                    return
            assert time.monotonic() < deadline, f"kube-apiserver is not ready after {READY_SECONDS:g} s"
            time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _kubeconfig(server: str, token: str) -> dict[str, object]:
    """The API makes its certificate itself, at its start, so it is not looked at: it is on loopback."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
