"""Writes the kubeconfigs that a person uses: the administrator's, and one with just the operator's rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVICE_ACCOUNT
from bailie.kube.paths import object_path
from bailie.local.settings import API_NAME, OPERATOR_NAME, OPERATOR_NAMESPACE
from kubeapi.kubeconfig import kubeconfig, write

if TYPE_CHECKING:
    from bailie.kube.client import Client
    from bailie.local.state import StateDirectory

TOKEN_SECONDS = 365 * 24 * 3600


async def write_kubeconfigs(client: Client, state: StateDirectory, namespace: str) -> None:
    """Writes both (0600); `namespace` is the administrator's default one."""
    ca = state.api_ca.read_bytes()
    token = state.api_token.read_text().strip()
    made = partial(kubeconfig, API_NAME, server=client.server, ca=ca, namespace=namespace)
    write(state.kubeconfig, made(token=token))
    operator = await _operator_token(client)
    write(state.operator_kubeconfig, made(token=operator, user=OPERATOR_NAME))


async def _operator_token(client: Client) -> str:
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    path = object_path(SERVICE_ACCOUNT, OPERATOR_NAMESPACE, OPERATOR_NAME, "token")
    return str((await client.call("POST", path, body=body))["status"]["token"])
