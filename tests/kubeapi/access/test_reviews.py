"""Access and identity reviews: answered, never stored."""

from __future__ import annotations

import pytest

AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def review(http, path, **spec):
    return http.post(path, json={"spec": spec})


def test_may_they(http):
    attributes = {"verb": "list", "resource": "pods"}
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    asked = {"resourceAttributes": attributes}
    assert review(http, path, user="eve", **asked).json()["status"] == {"allowed": False}
    masters = review(http, path, user="eve", groups=["system:masters"], **asked).json()
    assert masters["status"] == {"allowed": True}


def test_may_they_here(http, namespace):
    path = f"{AUTHORIZATION}/namespaces/{namespace}/localsubjectaccessreviews"
    attributes = {"verb": "list", "resource": "pods", "namespace": namespace}
    answer = review(http, path, user="eve", resourceAttributes=attributes)
    assert (answer.status_code, answer.json()["status"]["allowed"]) == (201, False)


@pytest.mark.parametrize(("path", "allowed"), [("/version", True), ("/metrics", False)])
def test_paths_that_are_no_resources(api, path, allowed):
    with api.http(api.token("ann")) as ann:
        asked = {"nonResourceAttributes": {"verb": "get", "path": path}}
        answer = review(ann, f"{AUTHORIZATION}/selfsubjectaccessreviews", **asked)
    assert answer.json()["status"]["allowed"] is allowed


REFUSED = {
    "nothing asked": ("selfsubjectaccessreviews", {}, 422),
    "about nobody": ("subjectaccessreviews", {"resourceAttributes": {"verb": "get"}}, 422),
    "rules of no namespace": ("selfsubjectrulesreviews", {}, 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_reviews_that_ask_nothing(http, case):
    plural, spec, code = REFUSED[case]
    assert review(http, f"{AUTHORIZATION}/{plural}", **spec).status_code == code


def test_a_spec_that_is_no_object(http):
    refused = http.post(f"{AUTHORIZATION}/selfsubjectaccessreviews", json={"spec": "x"})
    assert refused.status_code == 400


def test_whose_token(api, http):
    path = f"{AUTHENTICATION}/tokenreviews"
    known = review(http, path, token=api.token("ann", groups=("team",))).json()["status"]
    assert known["user"] == {"username": "ann", "groups": ["team", "system:authenticated"]}
    unknown = review(http, path, token="nobody's").json()["status"]
    assert unknown["authenticated"] is False


def test_reviews_cannot_be_listed(http):
    assert http.get(f"{AUTHORIZATION}/subjectaccessreviews").status_code == 405


BOUND = {
    "a kind that is not served": ({"kind": "Node", "name": "n"}, 400),
    "a pod that is not there": ({"kind": "Pod", "name": "gone"}, 404),
    "a pod with another uid": ({"kind": "Pod", "name": "p", "uid": "other"}, 409),
}


@pytest.mark.parametrize("case", BOUND)
def test_tokens_are_bound_to_what_is_there(http, namespace, case):
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    http.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)
    reference, code = BOUND[case]
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    assert review(http, path, boundObjectRef=reference).status_code == code


def test_a_token_dies_with_its_account(api, http, namespace):
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    http.post(accounts, json={"metadata": {"name": "bot"}})
    token = http.post(f"{accounts}/bot/token", json={}).json()["status"]["token"]
    http.delete(f"{accounts}/bot")
    http.post(accounts, json={"metadata": {"name": "bot"}})
    with api.http(token) as bot:
        assert bot.get("/api").status_code == 401
