"""Writes kubeconfig files: server address, CA inline, one token; readable by their owner only.

Called by the server for the administrator, by the node for pods and by tests.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from bailie.apiserver.files import write_private

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(
    *, server: str, ca: bytes, token: str, namespace: str = "default", user: str = "admin"
) -> dict[str, Any]:
    """The kubeconfig as data; `ca` is PEM."""
    authority = base64.b64encode(ca).decode()
    context = {"cluster": "bailie", "user": user, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "bailie", "cluster": {"server": server, "certificate-authority-data": authority}}
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "bailie", "context": context}],
        "current-context": "bailie",
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a kubeconfig with mode 0600 (as JSON, which is YAML)."""
    write_private(path, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
