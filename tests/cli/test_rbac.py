"""`bailie rbac` prints what the setup chart makes in a namespace."""

import json

import pytest
import yaml
from tests.support.api import running_api
from tests.support.charts import render
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.manifests.defaults import token_secret
from bailie.manifests.rbac import cluster_manifests, operator_manifests


def run(*arguments, **environment):
    environment = {"KUBECONFIG": "/nowhere", **environment}
    return CommandRunner(env=environment).invoke(app, ["rbac", *arguments])


def printed(*arguments, **environment):
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def identity(manifest):
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]


@pytest.mark.parametrize("secrets", [(), ("team-storage", "b"), ("*",)])
def test_it_is_what_the_chart_makes(secrets):
    values = {"controller": {"watchNamespaces": ["team-a"]}}
    values |= {"security": {"modelSecrets": list(secrets)}} if secrets else {}
    chart = render("setup", values, namespace="platform")
    named = [word for name in secrets for word in ("--secret", name)]
    expected = {identity(m): m for m in chart.manifests if m["metadata"]["namespace"] == "team-a"}
    found = {identity(m): m for m in printed("team-a", "--operator-namespace", "platform", *named)}
    assert found.keys() == expected.keys()
    for key, manifest in found.items():
        for part in ("rules", "roleRef", "subjects"):
            assert manifest.get(part) == expected[key].get(part)


def token_of(*arguments, **environment):
    secrets = [m for m in printed(*arguments, **environment) if m["kind"] == "Secret"]
    return secrets[0]["stringData"]["token"] if secrets else None


def test_each_run_draws_a_token():
    first, second = token_of("team-a", "--token"), token_of("team-a", "--token")
    assert len(first) >= 43
    assert first != second


def test_without_a_cluster_a_token_is_printed_with_a_warning():
    result = run("team-a")
    assert "kind: Secret" in result.stdout
    assert "a new token for team-a: it is unknown whether there is one already" in result.stderr
    assert "--no-token" in result.stderr


def test_a_token_that_is_there_is_left_alone(tmp_path):
    with running_api(tmp_path) as api:
        api.namespace("team-a")
        environment = {"KUBECONFIG": str(api.kubeconfig)}
        assert token_of("team-a", **environment)
        secret = token_secret("team-a", "x" * 43)
        api.request("POST", "/api/v1/namespaces/team-a/secrets", json=secret)
        assert token_of("team-a", **environment) is None
        assert token_of("team-a", "--token", **environment)
        assert token_of("new", **environment)


def test_the_rights_are_for_the_operator_of_the_cluster(tmp_path):
    with running_api(tmp_path) as api:
        environment = {"KUBECONFIG": str(api.kubeconfig)}
        assert operators_of(**environment) == {"seldon-system"}
        for home in ("platform", "second"):
            api.namespace(home)
            scope = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bailie-scope"}}
            assert operators_of(**environment) == {"seldon-system" if home == "platform" else "platform"}
            api.request("POST", f"/api/v1/namespaces/{home}/configmaps", json=scope)
        result = run("team-a", **environment)
        assert result.exit_code == 2
        assert "there are several operators: in platform, second" in result.stderr
        assert operators_of("--operator-namespace", "second", **environment) == {"second"}


def operators_of(*arguments, **environment):
    bindings = [m for m in printed("team-a", *arguments, **environment) if m["kind"] == "RoleBinding"]
    [found] = [m for m in bindings if m["metadata"]["name"] == "seldon-v2-manager-rolebinding"]
    return {subject["namespace"] for subject in found["subjects"]}


def test_the_token_can_be_left_out():
    assert not [m for m in printed("team-a", "--no-token") if m["kind"] == "Secret"]


def test_a_namespace_without_a_scheduler_of_its_own():
    values = {"schedulerNamespace": "platform", "rights": {"create": False}}
    expected = render("runtime", values, namespace="team-a").of("Role", "RoleBinding")
    found = {identity(m): m for m in printed("team-a", "--scheduler-namespace", "platform")}
    assert len(expected) == 2
    for manifest in expected:
        for part in ("rules", "roleRef", "subjects"):
            assert found[identity(manifest)].get(part) == manifest.get(part)


def test_rights_in_the_whole_cluster():
    assert printed("--cluster-wide", "--operator-namespace", "p") == operator_manifests(
        "p"
    ) + cluster_manifests("p")


def test_as_json_it_is_one_list():
    value = json.loads(run("team-a", "-o", "json").stdout)
    assert value["kind"] == "List"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no namespace was named"),
        (("Team_A",), "NAMESPACE"),
        (("team-a", "--operator-namespace", "*"), "--operator-namespace"),
        (("team-a", "--scheduler-namespace", "*"), "--scheduler-namespace"),
        (("team-a", "--cluster-wide"), "name none with it"),
    ],
)
def test_mistakes(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
