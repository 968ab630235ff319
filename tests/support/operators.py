"""Operators as real processes on the embedded API, and what its audit log says that they did."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.kube.client import Client
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.rbac import OPERATOR_ACCOUNT, role_manifests
from bailie.scope.claim import CLAIM_LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.support.api import Api

READING = frozenset({"get", "list", "watch"})


def user_of(home: str) -> str:
    """The user that the operator of a namespace is."""
    return f"system:serviceaccount:{home}:{OPERATOR_ACCOUNT}"


async def install(api: Api, home: str, namespaces: Iterable[str]) -> None:
    """Makes namespaces, rights, configurations and the list of one operator, as a chart does."""
    async with Client.from_kubeconfig(api.kubeconfig) as admin:

        async def put(manifest: dict[str, Any]) -> None:
            await admin.apply(manifest, field_manager=f"install-{home}", force=True)

        for name in (home, *namespaces):
            await put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            for manifest in role_manifests(name, home, pods=True):
                if manifest["kind"] == "RoleBinding" and manifest["metadata"]["namespace"] == name:
                    manifest["metadata"]["name"] += f"-{home}"
                await put(manifest)
        await put(seldon_config(home, image="bailie:1"))
        await put(mlserver_config(home, image="bailie:1", server_image="bailie-mlserver:1"))
        await put_list(admin, home, namespaces)


async def put_list(admin: Client, home: str, namespaces: Iterable[str]) -> None:
    """Sets the operator's list."""
    data = {"namespaces": "".join(f"{name}\n" for name in namespaces)}
    metadata = {"name": "bailie-scope", "namespace": home}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    await admin.apply(manifest, field_manager="list", force=True)


@contextlib.contextmanager
def operator(api: Api, home: str, folder: Path, *, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `bailie operator` for an installation until the block ends. `address` is its own loopback one."""
    token = api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, folder / f"{home}.kubeconfig")
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "KUBECONFIG": str(kubeconfig),
        "POD_NAMESPACE": home,
        "POD_NAME": f"{home}-0",
        "POD_IP": address,
        "BAILIE_SCOPE_CONFIGMAP": "bailie-scope",
        "BAILIE_RELEASE": "release",
        "BAILIE_WORKLOADS": "local",
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
