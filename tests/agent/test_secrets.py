"""Secrets from the embedded Kubernetes API."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.support.api import running_api

from bailie.agent.errors import ArtifactError
from bailie.agent.secrets import KubernetesSecrets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as api:
        api.namespace("a")
        data = {"s3": base64.b64encode(b"content").decode()}
        api.request(
            "POST", "/api/v1/namespaces/a/secrets", json={"metadata": {"name": "creds"}, "data": data}
        )
        yield api


async def test_secret_is_read(api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    assert await KubernetesSecrets().read("a", "creds") == {"s3": b"content"}


async def test_secret_that_is_not_there(api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    with pytest.raises(ArtifactError, match="no Secret nope in namespace a") as caught:
        await KubernetesSecrets().read("a", "nope")
    assert caught.value.reason == "SecretNotFound"


async def test_secret_without_the_right(api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kubeconfig = api.kubeconfig_for(api.token("nobody"), tmp_path / "nobody.yaml")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(ArtifactError, match="may not read Secret creds") as caught:
        await KubernetesSecrets().read("a", "creds")
    assert caught.value.reason == "SecretForbidden"


async def test_no_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ArtifactError, match="Secret creds could not be read") as caught:
        await KubernetesSecrets().read("a", "creds")
    assert caught.value.reason == "SecretUnreadable"
