"""Builders of manifests for the tests of the resource types."""

from __future__ import annotations

from typing import Any

import pytest


def manifest_of(kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "iris", "namespace": "a", "uid": "u-1", **metadata},
        "spec": spec,
    }


@pytest.fixture
def manifest():
    return manifest_of
