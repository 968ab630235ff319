"""Nobody hands out rights that they do not have; impersonation; scopes that do not fit the kind."""

from __future__ import annotations

import pytest

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
MANAGE = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings"],
    "verbs": ["create", "update", "patch", "get"],
}
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def grant(http, namespace, name, user, *rules):
    role = {"metadata": {"name": name}, "rules": list(rules)}
    assert http.post(f"{RBAC}/namespaces/{namespace}/roles", json=role).status_code == 201
    bind(http, namespace, name, user)


def bind(client, namespace, role, user):
    binding = {
        "metadata": {"generateName": "b-"},
        "roleRef": {"kind": "Role", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    }
    return client.post(f"{RBAC}/namespaces/{namespace}/rolebindings", json=binding)


@pytest.fixture
def manager(api, http, namespace):
    """A user who may write roles and read pods, and nothing else."""
    grant(http, namespace, "manager", "max", MANAGE, PODS)
    with api.http(api.token("max")) as client:
        yield client


def test_held_rights_may_be_granted(manager, namespace):
    role = {"metadata": {"name": "r"}, "rules": [PODS]}
    assert manager.post(f"{RBAC}/namespaces/{namespace}/roles", json=role).status_code == 201
    assert bind(manager, namespace, "r", "ann").status_code == 201


@pytest.mark.parametrize("rule", [SECRETS, EVERYTHING, {**PODS, "verbs": ["get", "delete"]}])
def test_others_may_not(manager, namespace, rule):
    role = {"metadata": {"name": "r"}, "rules": [PODS, rule]}
    refused = manager.post(f"{RBAC}/namespaces/{namespace}/roles", json=role)
    assert refused.status_code == 403
    assert "is attempting to grant RBAC permissions not currently held" in refused.json()["message"]


def test_a_role_with_more_rights_may_not_be_bound(http, manager, namespace):
    role = {"metadata": {"name": "big"}, "rules": [EVERYTHING]}
    http.post(f"{RBAC}/namespaces/{namespace}/roles", json=role)
    assert bind(manager, namespace, "big", "max").status_code == 403


def test_the_verb_escalate_lifts_the_guard(api, http, namespace):
    grant(http, namespace, "lifted", "eve", {**MANAGE, "verbs": ["create", "escalate"]})
    role = {"metadata": {"name": "r"}, "rules": [EVERYTHING]}
    with api.http(api.token("eve")) as client:
        assert client.post(f"{RBAC}/namespaces/{namespace}/roles", json=role).status_code == 201


def test_rights_in_a_namespace_do_not_reach_cluster_scope(api, http, namespace):
    grant(http, namespace, "all", "sue", EVERYTHING)
    with api.http(api.token("sue")) as client:
        assert client.get(f"/api/v1/namespaces/{namespace}/secrets").status_code == 200
        assert client.get(f"{RBAC}/clusterroles").status_code == 403
        assert client.get(f"{RBAC}/namespaces/{namespace}/clusterroles").status_code == 404
        assert client.get(f"/api/v1/namespaces/{namespace}/namespaces/{namespace}").status_code == 404
        assert client.get("/api/v1/secrets").status_code == 403


def test_acting_as_somebody_else(api, http, namespace):
    grant(http, namespace, "reader", "ann", PODS)
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert http.get(path, headers={"impersonate-user": "ann"}).status_code == 200
    assert http.get(path, headers={"impersonate-user": "bob"}).status_code == 403
    with api.http(api.token("ann")) as ann:
        refused = ann.get(path, headers={"impersonate-user": "admin"})
    assert refused.status_code == 403
    assert 'cannot impersonate resource "users"' in refused.json()["message"]


def test_acting_as_a_service_account(http, namespace):
    who = {"impersonate-user": f"system:serviceaccount:{namespace}:default"}
    review = http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}, headers=who).json()
    assert review["status"]["userInfo"]["groups"] == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    ]


def test_container_names_cannot_reach_other_files(http, namespace):
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "../../x", "image": "i"}]}}
    refused = http.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)
    assert refused.status_code == 422
    assert refused.json()["details"]["causes"][0]["field"] == "spec.containers[0].name"
