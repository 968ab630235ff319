"""Who may do what: tokens, roles, refusals, reviews."""

from __future__ import annotations

import pytest
from tests.support.cluster import CONFIG_MAPS, MERGE, MODELS, RBAC, config_map, model
from tests.support.waiting import until_blocking as eventually


@pytest.fixture
def account(cluster, namespace):
    """A ServiceAccount `tester` without rights, as an HTTP client."""
    cluster.http.post(
        f"/api/v1/namespaces/{namespace}/serviceaccounts", json={"metadata": {"name": "tester"}}
    )
    return cluster.as_token(cluster.service_account_token(namespace, "tester"))


@pytest.fixture
def grant(cluster, namespace):
    """grant(rules...): gives rights in the namespace to `tester`."""

    def bind(*rules):
        base = RBAC.format(namespace)
        role = {"metadata": {"name": "tester"}, "rules": list(rules)}
        assert cluster.http.post(f"{base}/roles", json=role).status_code == 201
        subject = {"kind": "ServiceAccount", "name": "tester", "namespace": namespace}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tester"}
        binding = {"metadata": {"name": "tester"}, "subjects": [subject], "roleRef": ref}
        assert cluster.http.post(f"{base}/rolebindings", json=binding).status_code == 201

    return bind


def rule(resources, *verbs, group="mlops.seldon.io", names=()):
    found = {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
    return found | ({"resourceNames": list(names)} if names else {})


def allowed(client, path, method="GET", **more):
    return client.request(method, path, **more).status_code != 403


def test_nothing_without_a_token(cluster, namespace):
    assert cluster.as_nobody().get(MODELS.format(namespace)).status_code in {401, 403}
    answer = cluster.as_token("nonsense").get(MODELS.format(namespace))
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"


def test_refusals_say_who_may_not_do_what_where(account, namespace):
    answer = account.get(MODELS.format(namespace))
    assert answer.status_code == 403
    status = answer.json()
    assert status["reason"] == "Forbidden"
    assert status["message"] == (
        f'models.mlops.seldon.io is forbidden: User "system:serviceaccount:{namespace}:tester" '
        f'cannot list resource "models" in API group "mlops.seldon.io" in the namespace "{namespace}"'
    )
    answer = account.get(f"{MODELS.format(namespace)}/iris")
    assert answer.json()["message"].startswith('models.mlops.seldon.io "iris" is forbidden: ')
    assert answer.json()["message"].count("cannot get resource") == 1
    answer = account.get("/apis/mlops.seldon.io/v1alpha1/models")
    assert answer.json()["message"].endswith('in API group "mlops.seldon.io" at the cluster scope')


def test_a_role_gives_its_verbs_and_no_others(account, grant, namespace):
    models = MODELS.format(namespace)
    grant(rule(["models"], "get", "list", "create"))
    eventually(lambda: allowed(account, models), what="the grant")
    assert account.post(models, json=model()).status_code == 201
    assert account.get(f"{models}/iris").status_code == 200
    assert account.delete(f"{models}/iris").status_code == 403
    assert account.patch(f"{models}/iris", json={}, headers=MERGE).status_code == 403
    assert account.get(models, params={"watch": "true"}).status_code == 403
    assert account.get(CONFIG_MAPS.format(namespace)).status_code == 403


def test_subresources_are_rights_of_their_own(cluster, account, grant, namespace):
    path = f"{MODELS.format(namespace)}/iris"
    cluster.http.post(MODELS.format(namespace), json=model())
    grant(rule(["models/status"], "patch"))
    body = {"status": {"replicas": 1}}
    eventually(lambda: account.patch(f"{path}/status", json=body, headers=MERGE).is_success, what="the grant")
    assert account.patch(path, json={}, headers=MERGE).status_code == 403


def test_rights_to_named_objects(cluster, account, grant, namespace):
    path = CONFIG_MAPS.format(namespace)
    for name in ("mine", "other"):
        cluster.http.post(path, json=config_map(name))
    grant(rule(["configmaps"], "get", "list", "watch", group="", names=["mine"]))
    eventually(lambda: allowed(account, f"{path}/mine"), what="the grant")
    assert account.get(f"{path}/other").status_code == 403
    assert account.get(path).status_code == 403
    assert account.get(path, params={"fieldSelector": "metadata.name=mine"}).status_code == 200


def test_rights_end_at_the_namespace(account, grant, new_namespace, namespace):
    grant(rule(["*"], "*", group="*"))
    eventually(lambda: allowed(account, MODELS.format(namespace)), what="the grant")
    assert account.get(MODELS.format(new_namespace())).status_code == 403
    assert account.get("/apis/mlops.seldon.io/v1alpha1/models").status_code == 403
    assert account.get("/api/v1/namespaces").status_code == 403


def test_withdrawn_rights_are_gone(cluster, account, grant, namespace):
    models = MODELS.format(namespace)
    grant(rule(["models"], "list"))
    eventually(lambda: allowed(account, models), what="the grant")
    cluster.http.delete(f"{RBAC.format(namespace)}/rolebindings/tester")
    eventually(lambda: not allowed(account, models), what="the withdrawal")


def test_nobody_gives_more_than_he_has(account, grant, namespace):
    base = RBAC.format(namespace)
    grant(rule(["roles", "rolebindings"], "create", "get", group="rbac.authorization.k8s.io"))
    eventually(lambda: allowed(account, f"{base}/roles/tester"), what="the grant")
    answer = account.post(
        f"{base}/roles", json={"metadata": {"name": "more"}, "rules": [rule(["models"], "get")]}
    )
    assert answer.status_code == 403
    assert "attempting to grant RBAC permissions not currently held" in answer.json()["message"]


def test_role_references_cannot_change(cluster, grant, namespace):
    grant(rule(["models"], "get"))
    path = f"{RBAC.format(namespace)}/rolebindings/tester"
    answer = cluster.http.patch(path, json={"roleRef": {"name": "other"}}, headers=MERGE)
    assert answer.status_code == 422


def can_i(client, namespace, verb, resource, **more):
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "group": "mlops.seldon.io",
    } | more
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]["allowed"]


def test_everybody_may_ask_what_he_may_do(cluster, account, grant, namespace):
    assert can_i(account, namespace, "list", "models") is False
    assert can_i(cluster.http, namespace, "list", "models") is True
    grant(rule(["models"], "list"))
    eventually(lambda: can_i(account, namespace, "list", "models"), what="the grant")
    assert can_i(account, namespace, "delete", "models") is False
    assert can_i(account, "", "list", "models") is False
    assert can_i(account, namespace, "list", "models", group="") is False


def test_the_list_of_rights(account, grant, namespace):
    grant(rule(["models"], "list", "get"))
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"

    def found():
        rules = account.post(path, json=body).json()["status"]["resourceRules"]
        return any(r["resources"] == ["models"] and set(r["verbs"]) == {"list", "get"} for r in rules)

    eventually(found, what="the rule")


def test_who_am_i(account, namespace):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = account.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=body)
    info = answer.json()["status"]["userInfo"]
    assert info["username"] == f"system:serviceaccount:{namespace}:tester"
    assert {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"} <= set(
        info["groups"]
    )


def test_discovery_is_open_to_everybody_known(account):
    for path in ("/api", "/apis", "/openapi/v3", "/version"):
        assert account.get(path).status_code == 200


def test_impersonation(cluster, account, grant, namespace):
    headers = {"impersonate-user": f"system:serviceaccount:{namespace}:tester"}
    models = MODELS.format(namespace)
    assert cluster.http.get(models, headers=headers).status_code == 403
    grant(rule(["models"], "list"))
    eventually(lambda: cluster.http.get(models, headers=headers).status_code == 200, what="the grant")
    answer = account.get(models, headers={"impersonate-user": "somebody"})
    assert answer.status_code == 403
    assert "cannot impersonate" in answer.json()["message"]


@pytest.mark.parametrize("kind", ["SelfSubjectAccessReview", "SelfSubjectRulesReview"])
@pytest.mark.parametrize(
    "spec", [None, [], "x", {"resourceAttributes": []}, {"namespace": 1}, {"namespace": None}]
)
def test_reviews_of_a_wrong_shape(cluster, kind, spec):
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = cluster.http.post(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", json=body)
    assert answer.status_code < 500 or not cluster.embedded
