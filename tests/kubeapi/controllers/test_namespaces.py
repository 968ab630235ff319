"""Namespaces: what they start with, and how they end."""

from __future__ import annotations

import pytest
from tests.support.waiting import until_blocking as until


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def test_a_namespace_starts_with_a_default_service_account(http, namespace):
    found = http.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
    assert found.status_code == 200
    labels = http.get(f"/api/v1/namespaces/{namespace}").json()["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": namespace}


def test_deletion_takes_the_content_first(http, namespace):
    base = f"/api/v1/namespaces/{namespace}"
    held = {"metadata": {"name": "held", "finalizers": ["test.io/hold"]}}
    http.post(f"{base}/configmaps", json=held)
    http.post(f"{base}/secrets", json={"metadata": {"name": "s"}})
    answer = http.delete(base).json()
    assert answer["status"]["phase"] == "Terminating"
    until(lambda: http.get(f"{base}/secrets/s").status_code == 404)
    assert http.get(base).status_code == 200
    http.patch(
        f"{base}/configmaps/held",
        json={"metadata": {"finalizers": None}},
        headers={"content-type": "application/merge-patch+json"},
    )
    until(lambda: http.get(base).status_code == 404)


def test_nothing_is_created_where_there_is_no_namespace(http):
    refused = http.post("/api/v1/namespaces/nowhere/configmaps", json={"metadata": {"name": "x"}})
    assert refused.status_code == 404
    assert refused.json()["message"] == 'namespaces "nowhere" not found'


def test_nothing_is_created_in_a_terminating_namespace(http, namespace):
    base = f"/api/v1/namespaces/{namespace}"
    http.post(f"{base}/configmaps", json={"metadata": {"name": "held", "finalizers": ["test.io/hold"]}})
    http.delete(base)
    refused = http.post(f"{base}/configmaps", json={"metadata": {"name": "late"}})
    assert refused.status_code == 403
    assert "because it is being terminated" in refused.json()["message"]
    assert refused.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
