"""`helm upgrade` of Seldon Core's releases to Bailie's charts, by Helm itself against the embedded API."""

from __future__ import annotations

import json
from base64 import b64decode

import helm_python
import pytest
from tests.charts.test_helm import HOME, OTHER, RBAC, Cluster
from tests.support import seldon_core
from tests.support.api import running_api

OPERATOR = "seldon-v2-controller-manager"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{HOME}/deployments/{OPERATOR}"
RESOURCES = "/apis/mlops.seldon.io/v1alpha1/namespaces/{}"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
THEIRS = ("seldon-manager-config", "seldon-v2-manager-tls-role")
SCOPES = {
    "its own namespace": (False, {}, {HOME}),
    "a list": (True, {"controller": {"clusterwide": True, "watchNamespaces": [HOME, OTHER]}}, {HOME, OTHER}),
    "the whole cluster": (True, {"controller": {"clusterwide": True}}, set()),
}


@pytest.fixture
def cluster(tmp_path):
    with running_api(tmp_path) as api:
        for namespace in (HOME, OTHER):
            api.namespace(namespace)
        yield Cluster(api)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_operator(cluster, tmp_path, scope):
    clusterwide, values, served = SCOPES[scope]
    theirs = seldon_core.chart(tmp_path, "setup", clusterwide=clusterwide)
    cluster.helm("install", theirs, name="seldon-v2")
    before = cluster.get(DEPLOYMENT)["metadata"]["uid"]
    cluster.helm("upgrade", "setup", values, name="seldon-v2")
    deployment = cluster.get(DEPLOYMENT)
    assert deployment["metadata"]["uid"] == before
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("bailie:")
    assert "command" not in container
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= deployment["spec"]["selector"]["matchLabels"].items()
    assert cluster.names(f"/api/v1/namespaces/{HOME}/configmaps") == {"bailie-scope"}
    assert "seldon-v2-manager-tls-role" not in cluster.roles(HOME)
    for namespace in served:
        assert cluster.roles(namespace) >= {"seldon-v2-manager-role", "seldon-scheduler-role", "agent-role"}
    ours = {f"seldon-v2-manager-role-{HOME}"} if not served else set()
    for kind in ("clusterroles", "clusterrolebindings"):
        found = cluster.names(f"{CLUSTER_RIGHTS}/{kind}")
        assert {name for name in found if name.startswith("seldon")} == ours
    images = json.dumps(
        [cluster.get(RESOURCES.format(HOME) + f"/{kind}") for kind in ("seldonconfigs", "serverconfigs")]
    )
    assert "seldonio/" not in images


def test_what_the_operator_may_do_after_it_is_the_same_as_after_an_install(cluster, tmp_path):
    cluster.helm("install", seldon_core.chart(tmp_path, "setup"), name="seldon-v2")
    cluster.helm("upgrade", "setup", name="seldon-v2")
    upgraded = cluster.get(RBAC.format(HOME) + "/roles")["items"]
    cluster.uninstall("setup", name="seldon-v2")
    cluster.helm("install", "setup")
    rules = {
        role["metadata"]["name"]: role["rules"] for role in cluster.get(RBAC.format(HOME) + "/roles")["items"]
    }
    assert {role["metadata"]["name"]: role["rules"] for role in upgraded} == rules


def test_the_runtime(cluster, tmp_path):
    cluster.helm("install", seldon_core.chart(tmp_path, "runtime"), name="runtime")
    cluster.helm("upgrade", "runtime", name="runtime")
    secret = cluster.get(f"/api/v1/namespaces/{HOME}/secrets/seldon-rclone-gs-public")
    assert secret["data"].keys() == {"gs"}
    assert json.loads(b64decode(secret["data"]["gs"]))["name"] == "gs"
    spec = cluster.get(RESOURCES.format(HOME) + "/seldonruntimes/seldon")["spec"]
    assert {each["name"] for each in spec["overrides"]} == {
        "seldon-scheduler", "seldon-envoy", "seldon-pipelinegateway",
    }  # fmt: skip


def test_the_servers(cluster, tmp_path):
    cluster.helm("install", seldon_core.chart(tmp_path, "servers"), name="servers")
    path = RESOURCES.format(HOME) + "/servers"
    before = {each["metadata"]["name"]: each["metadata"]["uid"] for each in cluster.get(path)["items"]}
    cluster.helm("upgrade", "servers", {"mlserver": {"replicas": 3}}, name="servers")
    found = cluster.get(path)["items"]
    assert {each["metadata"]["name"]: each["metadata"]["uid"] for each in found} == before
    [mlserver] = [each for each in found if each["metadata"]["name"] == "mlserver"]
    assert mlserver["spec"]["replicas"] == 3
    assert "maxReplicas" not in mlserver["spec"]


def test_the_definitions(cluster, tmp_path):
    before = {item["metadata"]["uid"] for item in cluster.get(DEFINITIONS)["items"]}
    cluster.helm("install", seldon_core.chart(tmp_path, "crds"))
    cluster.helm("upgrade", "crds")
    for item in cluster.get(DEFINITIONS)["items"]:
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    cluster.uninstall("crds")
    assert {item["metadata"]["uid"] for item in cluster.get(DEFINITIONS)["items"]} == before


def test_an_upgrade_that_keeps_the_values_of_the_release(cluster, tmp_path):
    """`--reuse-values` brings the usual values of Seldon Core's chart along, and none of Bailie's own."""
    theirs = seldon_core.chart(tmp_path, "setup")
    (theirs / "values.yaml").write_text(json.dumps(seldon_core.default_values("setup", "2.9.1")))
    cluster.helm("install", theirs, name="seldon-v2")
    notes = cluster.helm("upgrade", "setup", name="seldon-v2", reuse_values=True)
    assert "Images of Seldon Core are not run" in notes
    [container] = cluster.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("docker.io/bailie:") or container["image"].startswith("bailie:")


def test_a_deployment_of_another_selector_is_refused_before_anything_changes(cluster, tmp_path):
    theirs = seldon_core.chart(tmp_path, "setup")
    template = theirs / "templates" / "all.yaml"
    template.write_text(template.read_text().replace("control-plane: v2-controller-manager", "app: operator"))
    cluster.helm("install", theirs, name="seldon-v2")
    with pytest.raises(
        helm_python.HelmReleaseError, match=f"kubectl delete deployment {OPERATOR} --namespace {HOME}"
    ):
        cluster.helm("upgrade", "setup", name="seldon-v2")
    assert cluster.names(f"/api/v1/namespaces/{HOME}/configmaps") == {"seldon-manager-config"}
    cluster.api.request("DELETE", DEPLOYMENT)
    cluster.helm("upgrade", "setup", name="seldon-v2")


def test_roles_of_the_other_operator_are_told(cluster, tmp_path):
    """They are of no release, so Helm leaves them; what is in them is too little."""
    cluster.helm("install", seldon_core.chart(tmp_path, "runtime"), name="runtime")
    runtime = cluster.get(RESOURCES.format(HOME) + "/seldonruntimes/seldon")
    owner = {
        "apiVersion": runtime["apiVersion"],
        "kind": "SeldonRuntime",
        "name": "seldon",
        "uid": runtime["metadata"]["uid"],
    }
    metadata = {"name": "seldon-scheduler-role", "namespace": HOME, "ownerReferences": [owner]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": []}
    cluster.api.request("POST", RBAC.format(HOME) + "/roles", json=role)
    cluster.helm("install", seldon_core.chart(tmp_path, "setup"), name="seldon-v2")
    notes = cluster.helm("upgrade", "setup", name="seldon-v2")
    assert (
        f"bailie rbac {HOME} --operator-namespace {HOME} | kubectl apply --server-side --force-conflicts -f -"
        in notes
    )
    assert f"the Roles in {HOME} are of Seldon Core's operator" in cluster.helm(
        "upgrade", "runtime", name="runtime"
    )
