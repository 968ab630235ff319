"""`bailie scope` against the embedded API, with and without an operator's word."""

from __future__ import annotations

import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.kube.clock import stamp_micro, utc_now

RUNNER = CommandRunner()
HOME = "bailie-system"
CONFIG_MAPS = f"/api/v1/namespaces/{HOME}/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        for name in (HOME, "a", "b"):
            running.namespace(name)
        yield running


@pytest.fixture
def scope(api):
    """Runs `bailie scope …`; the list has `a`, and the operator has said what it serves."""

    def run(*arguments):
        return RUNNER.invoke(app, ["scope", *arguments, "--kubeconfig", str(api.kubeconfig)])

    put(api, "bailie-scope", {"namespaces": "a\n"})
    status = {
        "installation": f"{HOME}/one",
        "problems": [],
        "namespaces": {"a": {"state": "served", "reason": "Served", "message": "", "missing": []}},
    }
    put(api, "bailie-scope-status", {"status.json": json.dumps(status)})
    put_lease(api, HOME, "bailie-operator", "operator-0")
    put_lease(api, "a", "bailie-operator-claim", f"{HOME}/one")
    return run


def put(api, name, data):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    put_object(api, f"{CONFIG_MAPS}/{name}", body)


def put_lease(api, namespace, name, holder, *, age=0.0):
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
    }
    spec["renewTime"] = "2026-01-01T00:00:00.000000Z" if age else stamp_micro(utc_now())
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
    put_object(api, f"{LEASES.format(namespace)}/{name}", body)


def put_object(api, path, body):
    headers = {"content-type": "application/apply-patch+yaml"}
    api.request("PATCH", f"{path}?fieldManager=test&force=true", json=body, headers=headers)


def listed(api):
    return api.request("GET", f"{CONFIG_MAPS}/bailie-scope")["data"]["namespaces"]


def test_list_says_who_owns_what_and_since_when(scope):
    result = scope("list")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].split() == [
        "a",
        "served",
        f"{HOME}/one",
        "2026-01-01T00:00:00.000000Z",
        "Served",
    ]


def test_list_as_json(scope):
    value = json.loads(scope("list", "-o", "json").stdout)
    assert value["operatorNamespace"] == HOME
    assert value["operator"] == {"leader": "operator-0", "alive": True}
    assert value["namespaces"] == [
        {
            "namespace": "a",
            "owner": f"{HOME}/one",
            "since": "2026-01-01T00:00:00.000000Z",
            "missing": [],
            "state": "served",
            "reason": "Served",
            "message": "",
        }
    ]


def test_what_the_operator_said_is_not_believed_when_nobody_renews_the_claim(scope, api):
    put_lease(api, "a", "bailie-operator-claim", f"{HOME}/one", age=100)
    put_lease(api, HOME, "bailie-operator", "operator-0", age=100)
    result = scope("list")
    assert "waiting" in result.stdout
    assert "the operator does not run; running pods go on" in result.stdout
    assert f"no operator runs in {HOME}" in result.stderr


def test_added_and_removed(scope, api):
    assert scope("add", "b", "a").exit_code == 0
    assert listed(api) == "a\nb\n"
    row = json.loads(scope("list", "-o", "json").stdout)["namespaces"][1]
    assert (row["namespace"], row["state"], row["reason"]) == ("b", "waiting", "NotLookedAt")
    result = scope("remove", "b", "c")
    assert (result.exit_code, result.stdout, listed(api)) == (3, "removed: b\n", "a\n")
    assert f"c: not in the list, which is ConfigMap bailie-scope in namespace {HOME}" in result.stderr


def test_what_is_in_the_list_already_stays_there(scope, api):
    result = scope("add", "a")
    assert (result.exit_code, result.stdout, listed(api)) == (0, "", "a\n")
    assert "in the list already: a" in result.stderr
    value = json.loads(scope("add", "a", "b", "-o", "json").stdout)
    assert (value["added"], [row["namespace"] for row in value["namespaces"]]) == (["b"], ["a", "b"])


def test_what_is_not_in_the_list_cannot_be_taken_from_it(scope, api):
    result = scope("remove", "ghost", "-o", "json")
    assert (result.exit_code, listed(api)) == (3, "a\n")
    assert json.loads(result.stdout)["removed"] == []
    assert "empty" not in result.stderr


def test_a_namespace_on_its_way_out_is_leaving(scope):
    result = scope("remove", "a", "-o", "json")
    assert "this operator serves no namespace" in result.stderr
    assert json.loads(result.stdout)["namespaces"][0]["state"] == "leaving"


@pytest.mark.parametrize(
    ("name", "says"), [("team-*", "is a pattern"), ("Team", "no DNS label"), (" ", "blank")]
)
def test_what_is_no_namespace_is_refused(scope, name, says):
    result = scope("add", name)
    assert result.exit_code == 2
    assert says in result.stderr


def test_an_operator_of_the_whole_cluster_gets_no_list_by_accident(scope, api):
    api.request("DELETE", f"{CONFIG_MAPS}/bailie-scope")
    put(api, "bailie-scope", {"namespaceSelector": "team=ml"})
    result = scope("add", "b")
    assert result.exit_code == 1
    assert "serves all namespaces" in result.stderr
    api.request("DELETE", f"{CONFIG_MAPS}/bailie-scope")


def test_without_an_operator_it_says_how_to_name_one(scope, api):
    api.request("DELETE", f"{CONFIG_MAPS}/bailie-scope")
    result = scope("list")
    assert result.exit_code == 1
    assert "--operator-namespace" in result.stderr
    assert scope("add", "b", "--operator-namespace", "b").exit_code == 3


def test_waiting_for_a_namespace_that_is_not_served_ends_with_the_reason(scope):
    result = scope("add", "b", "--wait", "--timeout", "0.1")
    assert result.exit_code == 4
    assert "waiting for b: the operator has not seen it yet\n" in result.stderr
    assert "not served after 0.1 s: b: the operator has not seen it yet" in result.stderr


def other_operator(api, namespaces):
    """An installation in the namespace `b`, which has claimed the namespace `c`."""
    put_object(
        api, "/api/v1/namespaces/c", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}
    )
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bailie-scope"}, "data": namespaces}
    put_object(api, "/api/v1/namespaces/b/configmaps/bailie-scope", body)
    put_lease(api, "c", "bailie-operator-claim", "b/two")


@pytest.mark.parametrize(
    ("namespaces", "hint"),
    [
        ({"namespaces": "c\n"}, "bailie scope remove c --operator-namespace b"),
        ({"namespaceSelector": "team=x"}, "narrow it in b first"),
    ],
)
def test_a_namespace_of_another_operator_ends_the_wait_at_once(scope, api, namespaces, hint):
    other_operator(api, namespaces)
    try:
        result = scope("add", "c", "--wait", "--timeout", "600", "--operator-namespace", HOME)
    finally:
        api.request("DELETE", "/api/v1/namespaces/b/configmaps/bailie-scope")
    assert result.exit_code == 4
    assert "c is served by the operator b/two since 2026-01-01" in result.stderr
    assert hint in result.stderr


def test_a_namespace_that_another_operator_gives_up_is_waited_for(scope, api):
    other_operator(api, {"namespaces": "d\n"})
    try:
        result = scope("add", "c", "--wait", "--timeout", "0.5", "--operator-namespace", HOME)
    finally:
        api.request("DELETE", "/api/v1/namespaces/b/configmaps/bailie-scope")
    assert result.exit_code == 4
    assert result.stderr.count("waiting until that operator gives it up") == 1
    assert "not served after 0.5 s" in result.stderr


def test_a_claim_that_nobody_renews_is_no_owner(scope, api):
    other_operator(api, {"namespaces": "c\n"})
    put_lease(api, "c", "bailie-operator-claim", "b/two", age=60.0)
    try:
        result = scope("add", "c", "--wait", "--timeout", "0.1", "--operator-namespace", HOME)
    finally:
        api.request("DELETE", "/api/v1/namespaces/b/configmaps/bailie-scope")
    assert "b/two" not in result.stderr
