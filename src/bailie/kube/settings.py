"""The environment that finds an API server, read for `client.Client.from_environment`."""

from __future__ import annotations

import os
from pathlib import Path

KUBECONFIG = "KUBECONFIG"
"""Kubeconfig files, colon-separated; the first that exists counts. Unset: in-cluster, then ~/.kube/config."""


def kubeconfig_path() -> Path | None:
    """Returns the file that KUBECONFIG names, missing or not; None when it names none."""
    value = os.environ.get(KUBECONFIG, "")  # noqa: TID251
    named = [Path(part).expanduser() for part in value.split(os.pathsep) if part]
    return next((path for path in named if path.is_file()), named[0] if named else None)
