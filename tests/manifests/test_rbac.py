from __future__ import annotations

from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.rbac import (
    EVERY_SECRET,
    central_manifests,
    cluster_manifests,
    operator_manifests,
    role_manifests,
)


def _rules(manifests, name):
    return next(m["rules"] for m in manifests if m["kind"].endswith("Role") and m["metadata"]["name"] == name)


def test_manifests_are_the_golden_ones(golden):
    golden.check("rbac", role_manifests("a", "bailie-system"))


def test_a_scoped_operator_has_nothing_of_the_cluster():
    manifests = role_manifests("a", "bailie-system")
    assert not [m for m in manifests if m["kind"].startswith("Cluster")]
    assert {m["metadata"]["namespace"] for m in manifests} == {"a", "bailie-system"}


def test_the_operator_may_not_touch_secrets_or_rights():
    manifests = role_manifests("a", "bailie-system")
    rules = [
        *_rules(manifests, "seldon-v2-manager-role"),
        *_rules(manifests, "seldon-v2-leader-election-role"),
        *cluster_manifests("bailie-system")[0]["rules"],
    ]
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert not resources & {"secrets", "roles", "rolebindings", "clusterroles", "serviceaccounts", "*"}
    assert all("*" not in rule["verbs"] for rule in rules)


def test_no_account_of_bailie_may_run_commands_or_connect_through_the_api():
    """`kubectl exec` and `port-forward` are for people."""
    manifests = [*role_manifests("a", "b", secrets=(EVERY_SECRET,)), *cluster_manifests("b")]
    resources = {r for m in manifests for rule in m.get("rules", ()) for r in rule["resources"]}
    assert not [each for each in resources if each.startswith("pods/")]


def test_agents_only_read_what_is_named():
    assert all(rule["verbs"] == ["get"] for rule in _rules(role_manifests("a", "b"), "agent-role"))


def test_every_account_that_pods_name_is_made():
    made = {m["metadata"]["name"] for m in role_manifests("a", "b") if m["kind"] == "ServiceAccount"}
    pods = [c["podSpec"] for c in seldon_config("b", image="x")["spec"]["components"]]
    pods.append(mlserver_config("b", image="x", server_image="y")["spec"]["podSpec"])
    assert {pod["serviceAccountName"] for pod in pods} <= made


def test_bindings_name_roles_that_exist():
    manifests = [*role_manifests("a", "b"), *operator_manifests("b")]
    roles = {(m["metadata"]["namespace"], m["metadata"]["name"]) for m in manifests if m["kind"] == "Role"}
    bindings = [m for m in manifests if m["kind"] == "RoleBinding"]
    assert {(m["metadata"]["namespace"], m["roleRef"]["name"]) for m in bindings} <= roles


def test_a_central_scheduler_may_read_one_secret_elsewhere():
    role, binding = central_manifests("a", "central")
    assert [rule for rule in role["rules"] if rule["resources"] == ["secrets"]] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["seldon-control-plane"],
            "verbs": ["get"],
        }
    ]
    assert not any("configmaps" in rule["resources"] for rule in role["rules"])
    leases = [rule for rule in role["rules"] if rule["resources"] == ["leases"]]
    assert all(
        rule["verbs"] == ["create"] or rule["resourceNames"] == ["seldon-scheduler"] for rule in leases
    )
    assert binding["subjects"][0]["namespace"] == "central"
