"""Operators as real processes on the embedded API, and what its audit log says that they did."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bailie.kube.client import Client
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.rbac import OPERATOR_ACCOUNT, role_manifests
from bailie.scope.claim import CLAIM_LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class AnyApi(Protocol):
    """The embedded API, in this process or in another."""

    @property
    def kubeconfig(self) -> Path: ...

    def service_account_token(self, namespace: str, name: str) -> str: ...

    def kubeconfig_for(self, token: str, path: Path) -> Path: ...


READING = frozenset({"get", "list", "watch"})


def user_of(home: str) -> str:
    """The user that the operator of a namespace is."""
    return f"system:serviceaccount:{home}:{OPERATOR_ACCOUNT}"


async def install(api: AnyApi, home: str, namespaces: Iterable[str]) -> None:
    """Makes namespaces, rights, configurations and the list of one operator, as a chart does."""
    names = list(namespaces)
    await grant(api, home, [home, *names])
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        configs = (
            seldon_config(home, image="bailie:1"),
            mlserver_config(home, image="bailie:1", server_image="bailie-mlserver:1"),
        )
        for manifest in configs:
            await admin.apply(manifest, field_manager=f"install-{home}", force=True)
        await put_list(admin, home, names)


async def grant(api: AnyApi, home: str, namespaces: Iterable[str]) -> None:
    """Makes namespaces in which the operator has its rights."""
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        for name in namespaces:
            made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
            for manifest in (*made, *role_manifests(name, home)):
                if manifest["kind"] == "RoleBinding" and manifest["metadata"]["namespace"] == name:
                    manifest["metadata"]["name"] += f"-{home}"
                await admin.apply(manifest, field_manager=f"install-{home}", force=True)


async def put_list(admin: Client, home: str, namespaces: Iterable[str]) -> None:
    """Sets the operator's list."""
    data = {"namespaces": "".join(f"{name}\n" for name in namespaces)}
    metadata = {"name": "bailie-scope", "namespace": home}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    await admin.apply(manifest, field_manager="list", force=True)


def own_address() -> str:
    """A loopback address that hardly anybody else on the machine has, for standard ports."""
    return f"127.{secrets.randbelow(60) + 3}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


@contextlib.contextmanager
def operator(api: AnyApi, home: str, folder: Path, *, address: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Runs `bailie operator` for an installation until the block ends, on a loopback address of its own."""
    token = api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, folder / f"{home}.kubeconfig")
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": home,
        "POD_NAME": f"{home}-0",
        "POD_IP": address or own_address(),
        "BAILIE_SCOPE_CONFIGMAP": "bailie-scope",
        "BAILIE_RELEASE": "release",
    }
    with (folder / f"{home}.log").open("ab") as log:
        command = [sys.executable, "-m", "bailie", "operator"]
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@dataclass(frozen=True)
class Audit:
    """The embedded API's audit log."""

    path: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def writes(self) -> list[dict[str, Any]]:
        """What anybody stored, or tried to; neither dry runs nor reviews of rights are writes."""
        return [
            line
            for line in self.lines()
            if line["verb"] not in READING
            and not line.get("dryRun")
            and not line["resource"].endswith("reviews")
        ]

    def acts(self, namespace: str) -> list[dict[str, Any]]:
        """What operators wrote in a namespace, in order; neither claims nor Events are acts."""
        return [
            line
            for line in self.lines()
            if line["namespace"] == namespace
            and line["verb"] not in READING
            and line["user"].endswith(f":{OPERATOR_ACCOUNT}")
            and line["resource"] != "events"
            and line["name"] != CLAIM_LEASE
            and (line["resource"], line["verb"]) != ("leases", "create")
            and line["code"] < 400
        ]

    def actors(self, namespace: str) -> list[str]:
        """Who acted in a namespace, in order, each row of acts of one user once."""
        users: list[str] = []
        for line in self.acts(namespace):
            if not users or users[-1] != line["user"]:
                users.append(line["user"])
        return users
