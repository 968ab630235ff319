"""Helm itself, with lookups and ownership, against the embedded API: install, upgrade, uninstall."""

from __future__ import annotations

from pathlib import Path

import helm_python
import pytest
import yaml
from tests.support.api import running_api
from tests.support.charts import CHARTS, SCOPED
from tests.support.waiting import until_blocking

from bailie.manifests.defaults import token_secret
from bailie.manifests.rbac import namespace_manifests

HOME, OTHER = "seldon-system", "financial-staging"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}"


class Cluster:
    """An API and Helm as its administrator, or as somebody else with that token."""

    def __init__(self, api, token=None):
        self.api = api
        self._options = {"kubeconfig_path": api.kubeconfig, "qps": 1000.0, "burst_limit": 1000}
        self._options |= {"kube_token": token} if token else {}

    def helm(self, action, chart, values=None, *, namespace=HOME, name="", **options):
        """Runs `helm install` or `upgrade` of a chart of ours, or of one in a folder; returns the notes."""
        folder = chart if isinstance(chart, Path) else CHARTS / f"seldon-core-v2-{chart}"
        with helm_python.Config(namespace=namespace, **self._options) as config:
            run = getattr(config, action)
            done = run(folder, name or folder.name, values or {}, namespace=namespace, **options)
        return done.get("notes", "")

    def uninstall(self, chart, *, namespace=HOME, name=""):
        with helm_python.Config(namespace=namespace, **self._options) as config:
            config.uninstall(name or f"seldon-core-v2-{chart}")

    def get(self, path):
        return self.api.request("GET", path)

    def names(self, path):
        return {item["metadata"]["name"] for item in self.get(path)["items"]}

    def roles(self, namespace):
        return self.names(RBAC.format(namespace) + "/roles")

    def token(self, namespace):
        return self.get(f"/api/v1/namespaces/{namespace}/secrets/seldon-control-plane")["data"]["token"]

    def owner(self, path):
        return self.get(path)["metadata"]["annotations"]["meta.helm.sh/release-name"]

    def scope(self):
        return self.get(f"/api/v1/namespaces/{HOME}/configmaps/bailie-scope")["data"]["namespaces"].split()

    def create(self, manifest):
        namespace, kind = manifest["metadata"]["namespace"], manifest["kind"].lower()
        group = RBAC if "rbac" in manifest["apiVersion"] else "/api/v1/namespaces/{}"
        self.api.request("POST", f"{group.format(namespace)}/{kind}s", json=manifest)

    def add_live(self, *names):
        """What `bailie scope add` does."""
        body = {"data": {"namespaces": "".join(f"{name}\n" for name in (*self.scope(), *names))}}
        path = f"/api/v1/namespaces/{HOME}/configmaps/bailie-scope?fieldManager=bailie"
        headers = {"content-type": "application/merge-patch+json"}
        self.api.request("PATCH", path, json=body, headers=headers)


@pytest.fixture
def cluster(tmp_path):
    with running_api(tmp_path) as api:
        for namespace in (HOME, OTHER, "team-a"):
            api.namespace(namespace)
        yield Cluster(api)


def test_the_documented_commands(cluster):
    before = cluster.names(CLUSTER_ROLES)
    notes = cluster.helm("install", "setup", SCOPED)
    cluster.helm("install", "runtime")
    cluster.helm("install", "servers")
    assert "serves seldon-system, financial-staging; it has no right anywhere else" in notes
    assert cluster.names(CLUSTER_ROLES) == before
    for namespace in (HOME, OTHER):
        assert cluster.roles(namespace) >= {"seldon-v2-manager-role", "seldon-scheduler-role", "agent-role"}
    assert cluster.token(HOME) != cluster.token(OTHER)
    account = f"/api/v1/namespaces/{HOME}/serviceaccounts/seldon-scheduler"
    assert cluster.owner(account) == "seldon-core-v2-setup"
    cluster.helm("install", "runtime", namespace=OTHER)
    path = "/apis/mlops.seldon.io/v1alpha1/seldonruntimes"
    assert [item["metadata"]["namespace"] for item in cluster.get(path)["items"]] == [OTHER, HOME]


def test_all_four_charts_install_and_the_definitions_outlive_theirs(cluster):
    """`bailie up` serves the definitions already; the release takes them over, and leaves them behind."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    before = {item["metadata"]["uid"] for item in cluster.get(path)["items"]}
    for chart, values in {"crds": {}, "setup": SCOPED, "runtime": {}, "servers": {}}.items():
        cluster.helm("install", chart, values)
    cluster.helm("upgrade", "crds")
    cluster.uninstall("crds")
    assert {item["metadata"]["uid"] for item in cluster.get(path)["items"]} == before


def test_an_upgrade_keeps_the_tokens(cluster):
    cluster.helm("install", "setup", SCOPED)
    before = cluster.token(HOME), cluster.token(OTHER)
    cluster.helm("upgrade", "setup", SCOPED | {"logging": {"logLevel": "debug"}})
    assert (cluster.token(HOME), cluster.token(OTHER)) == before


def test_where_a_namespace_leaves_the_list_the_operator_goes_and_the_runtime_stays(cluster):
    cluster.helm("install", "setup", SCOPED)
    token = cluster.token(OTHER)
    cluster.helm("upgrade", "setup", {"controller": {"watchNamespaces": [HOME]}})
    assert cluster.roles(OTHER) == {"seldon-scheduler-role", "agent-role"}
    assert cluster.token(OTHER) == token
    cluster.helm("upgrade", "setup", SCOPED)
    assert "seldon-v2-manager-role" in cluster.roles(OTHER)
    assert cluster.token(OTHER) == token


def test_what_runs_stays_when_the_operator_is_uninstalled(cluster):
    cluster.helm("install", "setup", SCOPED)
    cluster.helm("install", "runtime", namespace=OTHER)
    cluster.uninstall("setup")
    assert cluster.roles(OTHER) == {"seldon-scheduler-role", "agent-role"}
    assert cluster.token(OTHER)
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{OTHER}/seldonruntimes"
    assert cluster.names(path) == {"seldon"}
    cluster.helm("install", "setup", SCOPED)


def test_a_namespace_added_live_stays_until_the_list_of_the_values_changes(cluster):
    cluster.helm("install", "setup", SCOPED)
    cluster.add_live("team-a")
    for manifest in [*namespace_manifests("team-a", HOME), token_secret("team-a", "x" * 43)]:
        cluster.create(manifest)
    token = cluster.token("team-a")
    notes = cluster.helm("upgrade", "setup", SCOPED | {"logging": {"logLevel": "debug"}})
    assert cluster.scope() == [HOME, OTHER, "team-a"]
    assert "no longer served" not in notes
    # Taken over into the values, in any order: what was made by hand is left as it is.
    cluster.helm("upgrade", "setup", {"controller": {"watchNamespaces": ["team-a", HOME, OTHER]}})
    assert cluster.scope() == [HOME, OTHER, "team-a"]
    assert cluster.token("team-a") == token


def test_the_notes_name_the_namespaces_that_are_served_now(cluster):
    cluster.helm("install", "setup", SCOPED)
    cluster.add_live("team-a")
    notes = cluster.helm("upgrade", "setup", SCOPED | {"logging": {"logLevel": "debug"}})
    assert "serves seldon-system, financial-staging, team-a; it" in notes
    assert f"bailie scope list --operator-namespace {HOME}" in notes


def test_a_namespace_that_was_deleted_breaks_no_upgrade(cluster):
    cluster.helm("install", "setup", SCOPED)
    cluster.api.request("DELETE", f"/api/v1/namespaces/{OTHER}")
    until_blocking(lambda: OTHER not in cluster.names("/api/v1/namespaces"))
    for level in ("debug", "info"):
        notes = cluster.helm("upgrade", "setup", SCOPED | {"logging": {"logLevel": level}})
        assert f"there is no namespace {OTHER}, so nothing was made in it" in notes
        assert "seldon-v2-manager-role" in cluster.roles(HOME)
    cluster.api.namespace(OTHER)
    notes = cluster.helm("upgrade", "setup", SCOPED)
    assert "there is no namespace" not in notes
    assert cluster.roles(OTHER) >= {"seldon-v2-manager-role", "seldon-scheduler-role", "agent-role"}
    assert cluster.token(OTHER)


def test_a_list_that_changed_in_both_places_is_said_and_not_overwritten(cluster):
    """Helm applies on the server: it will not overwrite what somebody else has written, unless told to."""
    cluster.helm("install", "setup", SCOPED)
    cluster.add_live("team-a")
    with pytest.raises(helm_python.HelmReleaseError, match=r"conflict with .*bailie.*data\.namespaces"):
        cluster.helm("upgrade", "setup", {"controller": {"watchNamespaces": [HOME]}})
    assert cluster.scope() == [HOME, OTHER, "team-a"]


def test_a_namespace_of_another_operator_is_refused_in_a_sentence(cluster):
    cluster.helm("install", "setup", SCOPED)
    values = {"controller": {"watchNamespaces": [OTHER]}}
    sentence = f'namespace "{OTHER}" belongs to the operator in "{HOME}"'
    with pytest.raises(helm_python.HelmReleaseError, match=sentence):
        cluster.helm("install", "setup", values, namespace="team-a")
    assert "bailie-scope" not in cluster.names("/api/v1/namespaces/team-a/configmaps")


def test_a_namespace_is_handed_from_one_operator_to_another(cluster):
    cluster.helm("install", "setup", SCOPED)
    cluster.helm("install", "runtime", namespace=OTHER)
    token = cluster.token(OTHER)
    cluster.helm("upgrade", "setup", {"controller": {"watchNamespaces": [HOME]}})
    cluster.helm("install", "setup", {"controller": {"watchNamespaces": [OTHER]}}, namespace="team-a")
    binding = cluster.get(RBAC.format(OTHER) + "/rolebindings/seldon-v2-manager-rolebinding")
    assert [subject["namespace"] for subject in binding["subjects"]] == ["team-a"]
    assert cluster.token(OTHER) == token
    cluster.helm("upgrade", "runtime", namespace=OTHER)


def test_from_a_cluster_wide_operator_to_a_scoped_one(cluster):
    cluster.helm("install", "setup", {"controller": {"clusterwide": True}})
    cluster.helm("install", "runtime", namespace=OTHER)
    token = cluster.token(OTHER)
    assert f"seldon-v2-manager-role-{HOME}" in cluster.names(CLUSTER_ROLES)
    cluster.helm("upgrade", "setup", {"controller": {"clusterwide": True, "watchNamespaces": [OTHER]}})
    assert f"seldon-v2-manager-role-{HOME}" not in cluster.names(CLUSTER_ROLES)
    assert cluster.roles(OTHER) == {"seldon-v2-manager-role", "seldon-scheduler-role", "agent-role"}
    assert cluster.token(OTHER) == token
    account = f"/api/v1/namespaces/{OTHER}/serviceaccounts/seldon-scheduler"
    assert cluster.owner(account) == "seldon-core-v2-runtime"
    cluster.helm("upgrade", "runtime", namespace=OTHER)


def test_the_admin_of_a_namespace_installs_without_rights_in_the_cluster(cluster):
    base = RBAC.format("team-a")
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    cluster.api.request("POST", f"{base}/roles", json={"metadata": {"name": "admin"}, "rules": everything})
    subject = {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "Role", "name": "admin", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "admin"}, "subjects": [subject], "roleRef": reference}
    cluster.api.request("POST", f"{base}/rolebindings", json=binding)
    ada = Cluster(cluster.api, cluster.api.token("ada"))
    for chart in ("setup", "runtime", "servers"):
        ada.helm("install", chart, namespace="team-a")
    assert cluster.roles("team-a") >= {"seldon-v2-manager-role", "seldon-scheduler-role"}
    with pytest.raises(helm_python.HelmReleaseError, match="forbidden"):
        ada.helm("upgrade", "setup", {"controller": {"watchNamespaces": [OTHER]}}, namespace="team-a")


def test_definitions_are_valid_yaml_of_their_own():
    """Each is one document, so that `kubectl apply -f` takes the folder as it is."""
    for path in (CHARTS / "seldon-core-v2-crds" / "templates").glob("*.yaml"):
        [definition] = yaml.safe_load_all(path.read_text())
        assert path.name == f"{definition['metadata']['name']}.yaml"
