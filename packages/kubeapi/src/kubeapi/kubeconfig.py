"""Writes kubeconfig files: server address, CA inline, one token; readable by their owner only.

`server` writes the administrator's, the program that embeds the API those of others.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi.files import write_private

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(
    name: str, *, server: str, ca: bytes, token: str, namespace: str = "default", user: str = "admin"
) -> dict[str, Any]:
    """Returns a kubeconfig whose cluster and context are called `name`; `ca` is PEM."""
    authority = base64.b64encode(ca).decode()
    context = {"cluster": name, "user": user, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a kubeconfig with mode 0600 (as JSON, which is YAML)."""
    write_private(path, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
