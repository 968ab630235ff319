"""Subresources and reviews over HTTP: scale, logs, tokens, access reviews, deletion of collections."""

from __future__ import annotations

import threading

import pytest
from tests.support.waiting import until_blocking as until

MERGE = {"content-type": "application/merge-patch+json"}
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
MODEL = {
    "metadata": {"name": "iris"},
    "spec": {"storageUri": "/m", "replicas": 2},
}


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


@pytest.fixture
def core(namespace):
    return f"/api/v1/namespaces/{namespace}"


def test_scale_reads_and_writes_replicas(http, namespace):
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/models"
    http.post(path, json=MODEL)
    scale = http.get(f"{path}/iris/scale").json()
    assert (scale["kind"], scale["spec"], scale["status"]["replicas"]) == ("Scale", {"replicas": 2}, 0)
    scale["spec"]["replicas"] = 3
    assert http.put(f"{path}/iris/scale", json=scale).json()["spec"] == {"replicas": 3}
    patched = http.patch(f"{path}/iris/scale", json={"spec": {"replicas": 4}}, headers=MERGE)
    assert patched.json()["spec"] == {"replicas": 4}
    model = http.get(f"{path}/iris").json()
    assert (model["spec"]["replicas"], model["metadata"]["generation"]) == (4, 3)
    assert http.put(f"{path}/iris/scale", json=scale).status_code == 409


def test_a_pod_on_a_node_waits_for_its_grace(http, core):
    http.post(f"{core}/pods", json=POD)
    http.patch(f"{core}/pods/p", json={"spec": {"nodeName": "local"}}, headers=MERGE)
    marked = http.delete(f"{core}/pods/p").json()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert http.get(f"{core}/pods/p").json()["metadata"]["deletionTimestamp"]
    http.delete(f"{core}/pods/p", params={"gracePeriodSeconds": "0"})
    assert http.get(f"{core}/pods/p").status_code == 404


def test_a_pod_in_its_grace_stays_while_its_node_reports(http, core):
    http.post(f"{core}/pods", json=POD)
    held = {"metadata": {"finalizers": ["a.b/c"]}, "spec": {"nodeName": "local"}}
    http.patch(f"{core}/pods/p", json=held, headers=MERGE)
    http.delete(f"{core}/pods/p")
    http.patch(f"{core}/pods/p/status", json={"status": {"message": "ending"}}, headers=MERGE)
    assert http.get(f"{core}/pods/p").json()["status"]["message"] == "ending"
    http.delete(f"{core}/pods/p", params={"gracePeriodSeconds": "0"})
    assert http.get(f"{core}/pods/p").status_code == 200
    http.patch(f"{core}/pods/p", json={"metadata": {"finalizers": None}}, headers=MERGE)
    assert http.get(f"{core}/pods/p").status_code == 404


def test_a_status_write_does_not_end_the_grace(http, core):
    http.post(f"{core}/pods", json=POD)
    http.patch(f"{core}/pods/p", json={"spec": {"nodeName": "local"}}, headers=MERGE)
    http.delete(f"{core}/pods/p")
    http.patch(f"{core}/pods/p/status", json={"status": {"message": "ending"}}, headers=MERGE)
    assert http.get(f"{core}/pods/p").json()["metadata"]["deletionTimestamp"]
    http.delete(f"{core}/pods/p", params={"gracePeriodSeconds": "0"})
    assert http.get(f"{core}/pods/p").status_code == 404


def test_a_pod_on_no_node_goes_at_once(http, core):
    http.post(f"{core}/pods", json=POD)
    http.delete(f"{core}/pods/p")
    assert http.get(f"{core}/pods/p").status_code == 404


def test_logs_tail_and_follow(api, http, core, namespace):
    http.post(f"{core}/pods", json=POD)
    path = api.state_dir.parent / "logs" / namespace / "p" / "main.log"
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\nthree\n")
    assert http.get(f"{core}/pods/p/log").text == "one\ntwo\nthree\n"
    assert http.get(f"{core}/pods/p/log", params={"tailLines": "2"}).text == "two\nthree\n"
    assert http.get(f"{core}/pods/p/log", params={"container": "no"}).status_code == 400
    seen = []

    def follow():
        query = {"follow": "true", "tailLines": "1"}
        with api.http() as client, client.stream("GET", f"{core}/pods/p/log", params=query) as stream:
            for line in stream.iter_lines():
                seen.append(line)  # noqa: PERF402 - each line is looked at as it comes

    follower = threading.Thread(target=follow)
    follower.start()
    until(lambda: "three" in seen)
    with path.open("a") as file:
        file.write("four\n")
    until(lambda: "four" in seen)
    http.delete(f"{core}/pods/p")
    follower.join(60)
    assert seen[-1] == "four"


def test_a_pods_token_dies_with_the_pod(api, http, core, namespace):
    pod = http.post(f"{core}/pods", json=POD).json()["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["uid"]}
    path = f"{core}/serviceaccounts/default/token"
    answer = http.post(path, json={"spec": {"boundObjectRef": bound, "expirationSeconds": 3600}})
    assert answer.status_code == 201
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    with api.http(answer.json()["status"]["token"]) as as_pod:
        info = as_pod.post(review, json={}).json()["status"]["userInfo"]
        assert info["username"] == f"system:serviceaccount:{namespace}:default"
        assert f"system:serviceaccounts:{namespace}" in info["groups"]
        http.delete(f"{core}/pods/p")
        assert as_pod.post(review, json={}).status_code == 401


def test_a_token_may_not_be_too_short(http, core):
    refused = http.post(f"{core}/serviceaccounts/default/token", json={"spec": {"expirationSeconds": 5}})
    assert refused.status_code == 422
    assert refused.json()["details"]["causes"][0]["field"] == "spec.expirationSeconds"


def test_access_reviews_follow_the_bindings(api, http, namespace):
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]
    http.post(f"{rbac}/roles", json={"metadata": {"name": "reader"}, "rules": rules})
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"kind": "Role", "name": "reader"},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    http.post(f"{rbac}/rolebindings", json=binding)

    def asked(verb, resource, namespace=namespace):
        attributes = {"verb": verb, "resource": resource, "namespace": namespace}
        with api.http(api.token("ann")) as ann:
            answer = ann.post(
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                json={"spec": {"resourceAttributes": attributes}},
            )
        return answer.json()["status"]["allowed"]

    assert asked("list", "pods")
    assert not asked("delete", "pods")
    assert not asked("list", "pods", "default")
    with api.http(api.token("ann")) as ann:
        assert ann.get(f"/api/v1/namespaces/{namespace}/pods").status_code == 200
        listed = ann.post(
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json={"spec": {"namespace": namespace}}
        ).json()["status"]["resourceRules"]
    assert rules[0] in listed


def test_a_collection_is_deleted_by_label(http, core):
    for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
        http.post(f"{core}/configmaps", json={"metadata": {"name": name, "labels": {"app": app}}})
    answer = http.delete(f"{core}/configmaps", params={"labelSelector": "app=x"}).json()
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]
    assert [i["metadata"]["name"] for i in http.get(f"{core}/configmaps").json()["items"]] == ["c"]


def test_node_ports_are_given_and_kept(http, core):
    service = {
        "metadata": {"name": "mesh"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]},
    }
    created = http.post(f"{core}/services", json=service).json()
    port = created["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    patch = {"spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]}}
    ports = http.patch(f"{core}/services/mesh", json=patch, headers=MERGE).json()["spec"]["ports"]
    assert ports[0]["nodePort"] == port
    assert ports[1]["nodePort"] != port


def test_apply_creates_then_merges_and_conflicts(http, core):
    path = f"{core}/configmaps/c"
    apply = {"content-type": "application/apply-patch+yaml"}
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n"
    created = http.patch(path, content=body, headers=apply, params={"fieldManager": "one"})
    assert created.status_code == 201
    other = body.replace("'1'", "'2'")
    refused = http.patch(path, content=other, headers=apply, params={"fieldManager": "two"})
    assert refused.status_code == 409
    assert refused.json()["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = http.patch(path, content=other, headers=apply, params={"fieldManager": "two", "force": "true"})
    assert forced.json()["data"] == {"a": "2"}
    same = http.patch(path, content=other, headers=apply, params={"fieldManager": "two"})
    assert same.json()["metadata"]["resourceVersion"] == forced.json()["metadata"]["resourceVersion"]


def test_unknown_fields_warn_or_are_refused(http, namespace):
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/models"
    wrong = {"metadata": {"name": "m"}, "spec": {"storageUri": "/m", "colour": "red"}}
    refused = http.post(path, json=wrong, params={"fieldValidation": "Strict"})
    assert refused.status_code == 400
    assert 'strict decoding error: unknown field "spec.colour"' in refused.json()["message"]
    warned = http.post(path, json=wrong, params={"fieldValidation": "Warn"})
    assert warned.status_code == 201
    assert warned.headers["warning"] == '299 - "unknown field \\"spec.colour\\""'
    assert "colour" not in warned.json()["spec"]
