"""Rights in the rendered charts, evaluated as the API evaluates them."""

import pytest
from tests.support.charts import SCOPED, render
from tests.support.patterns import HOME, PATTERNS, TEAMS
from tests.support.rights import CLUSTER, granted, held, without_names_beside_all

import rightspage
from bailie.manifests.rbac import (
    CENTRAL_SCHEDULER_RULES,
    ENVOY_ACCOUNT,
    NAMESPACE_RULE,
    OPERATOR_ACCOUNT,
    OPERATOR_HOME_RULES,
    OPERATOR_RULES,
    OPERATOR_STATEFUL_RULES,
    SCHEDULER_ACCOUNT,
    SCHEDULER_RULES,
    SERVER_ACCOUNT,
    SERVER_RULES,
    cluster_manifests,
    role_manifests,
    server_rules,
)

by_pattern = pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
NAMESPACES = (HOME, *TEAMS, "elsewhere", "kube-system")
RBAC_KINDS = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")


def _bare(manifests):
    """RBAC objects without the marks of Helm, in no particular order."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] in RBAC_KINDS:
            metadata = {k: v for k, v in manifest["metadata"].items() if k in {"name", "namespace"}}
            key = (manifest["kind"], metadata.get("namespace", ""), metadata["name"])
            found[key] = {**manifest, "metadata": metadata}
    return found


def test_the_documented_install_makes_nothing_cluster_scoped():
    assert render("setup", SCOPED).text.count("kind: ClusterRole") == 0


@pytest.mark.parametrize("clusterwide", [False, True])
def test_a_list_is_the_whole_scope_with_or_without_clusterwide(clusterwide):
    values = {"controller": {"watchNamespaces": list(TEAMS), "clusterwide": clusterwide}}
    rendered = render("setup", values, namespace=HOME)
    expected = [manifest for team in TEAMS for manifest in role_manifests(team, HOME)]
    assert _bare(rendered.manifests) == _bare(expected)


def test_an_operator_alone_in_its_namespace():
    assert _bare(render("setup", namespace="a").manifests) == _bare(role_manifests("a", "a"))


def test_a_cluster_wide_operator_and_a_runtime():
    setup = render("setup", {"controller": {"clusterwide": True}}, namespace=HOME).manifests
    runtime = render("runtime", namespace="team-a").manifests
    roles = _bare(role_manifests("team-a", HOME))
    del roles["Role", "team-a", "seldon-v2-manager-role"]
    del roles["RoleBinding", "team-a", "seldon-v2-manager-rolebinding"]
    assert _bare([*setup, *runtime]) == roles | _bare(cluster_manifests(HOME))


@pytest.mark.parametrize("key", ["skipClusterRoleCreation", "skipOperatorClusterRoleCreation"])
def test_cluster_wide_rights_can_be_left_to_somebody_else(key):
    rendered = render("setup", {"controller": {"clusterwide": True, key: True}})
    assert rendered.text.count("kind: ClusterRole") == 0
    assert "bailie rbac --cluster-wide" in rendered.notes


def test_a_namespace_admin_can_install_pattern_1():
    """Nothing of it lies outside the namespace, so nothing of the cluster is needed."""
    [pattern] = [p for p in PATTERNS if p.name == "1-same-namespace"]
    assert {manifest["metadata"].get("namespace") for manifest in pattern.manifests()} == {pattern.home}


@by_pattern
def test_what_runtimes_need_stays_when_a_release_goes(pattern):
    ours = {"seldon-v2-controller-manager", "seldon-v2-manager-role", "seldon-v2-leader-election-role"}
    ours.add("seldon-central-scheduler-role")  # goes with the runtime that asks for it
    for manifest in pattern.manifests():
        name = manifest["metadata"]["name"].replace("rolebinding", "role")
        if manifest["kind"] in {"Role", "RoleBinding", "ServiceAccount"} and name not in ours:
            assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_operator_has_its_rights_at_home():
    role = render("setup", SCOPED).one("Role", "seldon-v2-leader-election-role")
    assert role["rules"] == [rule.manifest() for rule in OPERATOR_HOME_RULES]


def _expected(pattern):
    served = (*OPERATOR_RULES, *OPERATOR_STATEFUL_RULES)
    home = granted(OPERATOR_HOME_RULES, pattern.home)
    if pattern.name == "2-cluster-wide":
        everywhere = (*NAMESPACES, CLUSTER)
        return home.union(*(granted((*served, NAMESPACE_RULE), namespace) for namespace in everywhere))
    return home.union(*(granted(served, namespace) for namespace in pattern.served))


@by_pattern
def test_the_operator_may_do_what_it_does_and_nothing_else(pattern):
    found = held(pattern.manifests(), (OPERATOR_ACCOUNT, pattern.home), NAMESPACES)
    assert without_names_beside_all(found) == without_names_beside_all(_expected(pattern))


@by_pattern
def test_the_operator_may_touch_no_secrets_and_give_no_rights(pattern):
    found = held(pattern.manifests(), (OPERATOR_ACCOUNT, pattern.home), NAMESPACES)
    untouched = {"secrets", "serviceaccounts", "serviceaccounts/token", "pods/exec", "roles", "rolebindings"}
    untouched |= {"clusterroles", "clusterrolebindings", "customresourcedefinitions", "models"}
    assert {right for right in found if right.resource in untouched} == set()
    assert {right for right in found if right.verb in {"bind", "escalate", "impersonate"}} == set()


@by_pattern
@pytest.mark.parametrize(
    ("account", "rules"),
    [(SCHEDULER_ACCOUNT, SCHEDULER_RULES), (SERVER_ACCOUNT, SERVER_RULES), (ENVOY_ACCOUNT, ())],
)
def test_what_runs_in_a_namespace_has_rights_where_it_serves(pattern, account, rules):
    manifests = pattern.manifests()
    for namespace in pattern.served:
        found = held(manifests, (account, namespace), NAMESPACES)
        rights = granted(rules, namespace)
        if account == SCHEDULER_ACCOUNT:
            rights = rights.union(
                *(granted(CENTRAL_SCHEDULER_RULES, each) for each in _scheduled(pattern, namespace))
            )
        assert without_names_beside_all(found) == without_names_beside_all(rights)


SECRETS = {
    "as installed": ({}, ["seldon-rclone-gs-public"]),
    "named": ({"security": {"modelSecrets": ["b", "a", "a"]}}, ["a", "b"]),
    "none": ({"security": {"modelSecrets": []}}, []),
    "all": ({"security": {"modelSecrets": ["a", "*"]}}, None),
    "configured": (
        {
            "security": {"modelSecrets": ["a"]},
            "config": {"agentConfig": {"rclone": {"configSecrets": "c, b"}}},
        },
        ["a", "b", "c"],
    ),
}


@pytest.mark.parametrize(("values", "names"), SECRETS.values(), ids=SECRETS)
def test_agents_may_read_the_secrets_that_models_may_name_and_no_others(values, names):
    role = render("runtime", values, namespace="a").one("Role", "agent-role")
    expected = server_rules(["*"] if names is None else names)
    assert role["rules"] == [rule.manifest() for rule in expected]
    [rule] = [rule for rule in role["rules"] if "secrets" in rule["resources"]] or [{"resourceNames": []}]
    assert rule.get("resourceNames") == names


def _scheduled(pattern, namespace):
    """The other namespaces that its scheduler serves."""
    return {
        name for name, values in pattern.runtimes.items() if values.get("schedulerNamespace") == namespace
    }


@pytest.mark.parametrize("pattern", [p for p in PATTERNS if p.name != "2-cluster-wide"], ids=lambda p: p.name)
def test_a_scoped_operator_has_no_right_outside(pattern):
    found = held(pattern.manifests(), (OPERATOR_ACCOUNT, pattern.home), NAMESPACES)
    assert {right.namespace for right in found} == {pattern.home, *pattern.served}


def test_the_page_of_rights_says_what_the_charts_give():
    """For each pattern: which lists of rules the operator holds, and where."""
    of_rules = {
        str([rule.manifest() for rule in rules.rules]): name for name, rules in rightspage.SETS.items()
    }
    for pattern, (name, stated) in zip(PATTERNS, rightspage.PATTERNS.items(), strict=True):
        assert pattern.name[0] == name[0]
        given = {
            of_rules[str(manifest["rules"])]
            for manifest in pattern.manifests()
            if manifest["kind"] in {"Role", "ClusterRole"}
        }
        assert given == {*stated, rightspage.AGENT} - {rightspage.NOTHING}
