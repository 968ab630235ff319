"""kubectl, unmodified: what people type to change things."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.support.cluster import CONFIG_MAPS, MODELS, RBAC, config_map, model
from tests.support.waiting import until_blocking as eventually

_CORE = "/api/v1/namespaces/{}"
PLACES = {
    "configmap": CONFIG_MAPS,
    "deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "model": MODELS,
    "poddisruptionbudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "role": f"{RBAC}/roles",
    "rolebinding": f"{RBAC}/rolebindings",
    "secret": f"{_CORE}/secrets",
    "service": f"{_CORE}/services",
    "serviceaccount": f"{_CORE}/serviceaccounts",
}


@pytest.fixture
def get(cluster, namespace):
    """get("model/iris") -> the object as the API has it; test_kubectl_reading.py has `kubectl get`."""

    def look(name):
        kind, _, each = name.partition("/")
        answer = cluster.http.get(f"{PLACES[kind].format(namespace)}/{each}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return look


# --- create and replace -------------------------------------------------------------------------------------


def test_create_from_a_manifest(kubectl, get):
    assert kubectl("create", "-f", "-", stdin=model(replicas=2)) == "model.mlops.seldon.io/iris created\n"
    assert get("model/iris")["spec"]["replicas"] == 2
    error = kubectl.fails("create", "-f", "-", stdin=model())
    assert 'models.mlops.seldon.io "iris" already exists' in error


def test_create_with_a_generated_name(kubectl):
    sent = model()
    sent["metadata"] = {"generateName": "iris-"}
    name = kubectl("create", "-f", "-", "-o", "name", stdin=sent).strip()
    assert name.startswith("model.mlops.seldon.io/iris-")


def test_create_commands_of_built_in_kinds(kubectl, get):
    """These send protobuf."""
    kubectl("create", "configmap", "c", "--from-literal=a=1", "--from-literal=b=2")
    assert get("configmap/c")["data"] == {"a": "1", "b": "2"}
    kubectl("create", "secret", "generic", "s", "--from-literal=user=me", "--type=example.org/x")
    assert get("secret/s")["data"] == {"user": "bWU="}
    assert get("secret/s")["type"] == "example.org/x"
    kubectl("create", "serviceaccount", "sa")
    assert get("serviceaccount/sa")["metadata"]["name"] == "sa"
    kubectl("create", "service", "nodeport", "svc", "--tcp=80:8080")
    (port,) = get("service/svc")["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["protocol"]) == (80, 8080, "TCP")
    assert 30000 <= port["nodePort"] <= 32767
    kubectl("create", "role", "r", "--verb=get,list", "--resource=models.mlops.seldon.io,pods")
    assert {tuple(rule["resources"]) for rule in get("role/r")["rules"]} == {("models",), ("pods",)}
    kubectl("create", "rolebinding", "rb", "--role=r", f"--serviceaccount={kubectl.namespace}:sa")
    binding = get("rolebinding/rb")
    assert binding["roleRef"]["name"] == "r"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "sa", "namespace": kubectl.namespace}]
    assert len(kubectl("create", "token", "sa").strip()) > 20


def test_create_commands_of_workloads(kubectl, get):
    """These send protobuf, too, with all that a pod may have."""
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2", "--port=80")
    spec = get("deployment/web")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], spec["selector"]["matchLabels"]) == (2, {"app": "web"})
    assert (container["name"], container["image"]) == ("nginx", "nginx")
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=50%")
    assert get("poddisruptionbudget/web")["spec"] == {
        "minAvailable": "50%",
        "selector": {"matchLabels": {"app": "web"}},
    }
    kubectl("expose", "deployment", "web", "--port=80")
    assert get("service/web")["spec"]["selector"] == {"app": "web"}


def test_cluster_wide_rights(one_kubectl, namespace):
    role, binding = f"{namespace}-role", f"{namespace}-binding"
    try:
        one_kubectl("create", "clusterrole", role, "--verb=get", "--resource=models.mlops.seldon.io")
        one_kubectl("create", "clusterrolebinding", binding, f"--clusterrole={role}", "--group=testers")
        found = json.loads(one_kubectl("get", "clusterrolebinding", binding, "-o", "json"))
        assert (found["roleRef"]["kind"], found["subjects"][0]["name"]) == ("ClusterRole", "testers")
    finally:
        one_kubectl("delete", f"clusterrole/{role}", f"clusterrolebinding/{binding}", "--ignore-not-found")


def test_dry_runs(kubectl):
    assert "created (dry run)" in kubectl("create", "-f", "-", "--dry-run=client", stdin=model())
    assert "created (server dry run)" in kubectl("create", "-f", "-", "--dry-run=server", stdin=model())
    assert "created (server dry run)" in kubectl("apply", "-f", "-", "--dry-run=server", stdin=model())
    assert kubectl.run("get", "model", "iris").code != 0


def test_replace(kubectl, get):
    kubectl("create", "-f", "-", stdin=model(replicas=2))
    assert kubectl("replace", "-f", "-", stdin=model(replicas=3)) == "model.mlops.seldon.io/iris replaced\n"
    assert get("model/iris")["spec"]["replicas"] == 3
    stale = get("model/iris")
    kubectl("scale", "model/iris", "--replicas=4")
    assert "the object has been modified" in kubectl.fails("replace", "-f", "-", stdin=stale)
    kubectl("replace", "--force", "-f", "-", stdin=model(replicas=5))
    assert get("model/iris")["spec"]["replicas"] == 5
    assert "not found" in kubectl.fails("replace", "-f", "-", stdin=model("nope"))


def test_edit(kubectl, get):
    kubectl("create", "-f", "-", stdin=model(replicas=2))
    edited = kubectl("edit", "model/iris", KUBE_EDITOR="sed -i 's/replicas: 2/replicas: 6/'")
    assert edited == "model.mlops.seldon.io/iris edited\n"
    assert get("model/iris")["spec"]["replicas"] == 6
    unchanged = kubectl.run("edit", "model/iris", KUBE_EDITOR="true")
    assert (unchanged.code, "no changes made" in unchanged.err) == (0, True)


def test_edit_of_built_in_kinds(kubectl, get):
    kubectl("create", "configmap", "c", "--from-literal=a=one")
    kubectl("edit", "configmap/c", KUBE_EDITOR="sed -i 's/one/two/'")
    assert get("configmap/c")["data"] == {"a": "two"}


# --- refusals -----------------------------------------------------------------------------------------------


def test_unknown_fields_are_refused(kubectl):
    error = kubectl.fails("apply", "-f", "-", stdin=model(colour="red"))
    assert 'strict decoding error: unknown field "spec.colour"' in error
    warned = kubectl.run("apply", "--validate=warn", "-f", "-", stdin=model(colour="red"))
    assert (warned.code, 'Warning: unknown field "spec.colour"' in warned.err) == (0, True)


def test_wrong_types_are_refused(kubectl):
    error = kubectl.fails("apply", "-f", "-", stdin=model(minReplicas="three"))
    assert error.strip() == (
        'The Model "iris" is invalid: spec.minReplicas: Invalid value: "string": '
        'spec.minReplicas in body must be of type integer: "string"'
    )
    error = kubectl.fails("create", "-f", "-", stdin=model(requirements=[1], artifactVersion=-1))
    assert "* spec.requirements[0]: Invalid value" in error
    assert "* spec.artifactVersion: Invalid value" in error


def test_bad_names_are_refused(kubectl):
    assert "a lowercase RFC 1123 subdomain must consist of" in kubectl.fails(
        "create", "-f", "-", stdin=model("Iris")
    )


# --- apply --------------------------------------------------------------------------------------------------


def test_apply(kubectl, get):
    assert kubectl("apply", "-f", "-", stdin=model(replicas=1)) == "model.mlops.seldon.io/iris created\n"
    assert kubectl("apply", "-f", "-", stdin=model(replicas=1)) == "model.mlops.seldon.io/iris unchanged\n"
    assert kubectl("apply", "-f", "-", stdin=model(replicas=2)) == "model.mlops.seldon.io/iris configured\n"
    assert get("model/iris")["spec"]["replicas"] == 2


def test_apply_removes_what_the_manifest_no_longer_has(kubectl, get):
    kubectl("apply", "-f", "-", stdin=model(labels={"a": "1"}, replicas=1, logger={"percent": 5}))
    kubectl("scale", "model/iris", "--replicas=4")
    kubectl("apply", "-f", "-", stdin=model(replicas=4))
    after = get("model/iris")
    assert after["spec"] == {"storageUri": "gs://bucket/iris", "replicas": 4}
    assert "labels" not in after["metadata"]


def test_apply_keeps_what_others_set(kubectl, get):
    kubectl("apply", "-f", "-", stdin=model())
    kubectl("label", "model/iris", "a=1")
    kubectl("apply", "-f", "-", stdin=model(replicas=2))
    assert get("model/iris")["metadata"]["labels"] == {"a": "1"}


def test_apply_of_built_in_kinds(kubectl, get):
    ports = [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"a": "1"}, "ports": ports},
    }
    kubectl("apply", "-f", "-", stdin=service)
    assert kubectl("apply", "-f", "-", stdin=service) == "service/s unchanged\n"
    service["spec"]["ports"] = [{"name": "grpc", "port": 81, "targetPort": 9000}]
    assert kubectl("apply", "-f", "-", stdin=service) == "service/s configured\n"
    (port,) = get("service/s")["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("grpc", 9000)
    kubectl("apply", "-f", "-", stdin=config_map())
    kubectl("apply", "-f", "-", stdin=config_map() | {"data": {"b": "2"}})
    assert get("configmap/settings")["data"] == {"b": "2"}


def test_apply_and_delete_of_many(one_kubectl):
    text = yaml.safe_dump_all([model("a"), model("b"), config_map()])
    assert one_kubectl("apply", "-f", "-", stdin=text).count("created") == 3
    assert one_kubectl("delete", "-f", "-", stdin=text).count("deleted") == 3


def test_apply_of_a_list(kubectl, get):
    """What kubectl sends of a List it checks itself, by the OpenAPI document of version 2."""
    many = {"apiVersion": "v1", "kind": "List", "items": [config_map("a"), model()]}
    assert kubectl("apply", "-f", "-", stdin=many).splitlines() == [
        "configmap/a created",
        "model.mlops.seldon.io/iris created",
    ]
    many["items"][0]["data"]["a"] = "2"
    assert "configmap/a configured" in kubectl("apply", "-f", "-", stdin=many)
    assert get("configmap/a")["data"] == {"a": "2"}
    many["items"][0]["dat"] = {}
    assert 'unknown field "dat"' in kubectl.fails("apply", "-f", "-", stdin=many)


def test_a_field_that_a_kind_lacks_is_not_applied_by_the_server(kubectl):
    applied = ("apply", "--server-side", "--validate=ignore", "-f", "-")
    wrong = kubectl.fails(*applied, stdin=config_map("a") | {"dat": {}})
    assert "failed to create typed patch object" in wrong
    assert ".dat: field not declared in schema" in wrong


def test_apply_of_a_kind_that_is_not_served(kubectl):
    unknown = {"apiVersion": "example.org/v1", "kind": "Foo", "metadata": {"name": "a"}}
    assert 'no matches for kind "Foo" in version "example.org/v1"' in kubectl.fails(
        "apply", "-f", "-", stdin=unknown
    )


def test_apply_prunes_by_label(kubectl):
    first, second = model("a", labels={"set": "one"}), model("b", labels={"set": "one"})
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([first, second]))
    kinds = "--prune-allowlist=mlops.seldon.io/v1alpha1/Model"
    out = kubectl("apply", "-f", "-", "--prune", "-l", "set=one", kinds, stdin=first)
    assert "model.mlops.seldon.io/b pruned" in out
    assert kubectl("get", "models", "-o", "name").split() == ["model.mlops.seldon.io/a"]


def test_server_side_apply(kubectl, get):
    out = kubectl("apply", "--server-side", "-f", "-", stdin=model(replicas=1, modelType="x"))
    assert out == "model.mlops.seldon.io/iris serverside-applied\n"
    kubectl("apply", "--server-side", "-f", "-", stdin=model(replicas=1))
    assert "modelType" not in get("model/iris")["spec"]
    error = kubectl.fails(
        "apply", "--server-side", "--field-manager=other", "-f", "-", stdin=model(replicas=2)
    )
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in error
    forced = ("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-")
    kubectl(*forced, stdin=model(replicas=2))
    assert get("model/iris")["spec"]["replicas"] == 2


def test_from_client_side_to_server_side_apply(kubectl, get):
    kubectl("apply", "-f", "-", stdin=model(replicas=1, modelType="x"))
    kubectl("apply", "--server-side", "-f", "-", stdin=model(replicas=1))
    found = get("model/iris")
    assert "modelType" not in found["spec"]
    assert {entry["operation"] for entry in found["metadata"]["managedFields"]} == {"Apply"}


def test_diff(one_kubectl):
    one_kubectl("apply", "-f", "-", stdin=model(replicas=1))
    result = one_kubectl.run("diff", "-f", "-", stdin=model(replicas=2))
    assert result.code == 1
    assert "+  replicas: 2" in result.out
    assert one_kubectl.run("diff", "-f", "-", stdin=model(replicas=1)).code == 0


# --- small changes ------------------------------------------------------------------------------------------


def test_patch(kubectl, get):
    kubectl("create", "-f", "-", stdin=model(replicas=1, requirements=["a"]))
    kubectl("patch", "model/iris", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    operations = '[{"op":"add","path":"/spec/requirements/-","value":"b"}]'
    kubectl("patch", "model/iris", "--type=json", "-p", operations)
    spec = get("model/iris")["spec"]
    assert (spec["replicas"], spec["requirements"]) == (2, ["a", "b"])
    assert "(no change)" in kubectl("patch", "model/iris", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    status = '{"status":{"replicas":3}}'
    kubectl("patch", "model/iris", "--subresource=status", "--type=merge", "-p", status)
    assert get("model/iris")["status"] == {"replicas": 3}


def test_strategic_patch_of_built_in_kinds(kubectl, get):
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    kubectl("patch", "configmap/c", "-p", '{"data":{"b":"2"}}')
    assert get("configmap/c")["data"] == {"a": "1", "b": "2"}
    kubectl("create", "-f", "-", stdin=model())
    assert "unknown format" in kubectl.fails("patch", "model/iris", "-p", '{"spec":{"replicas":1}}')


def test_label_and_annotate(kubectl, get):
    kubectl("create", "-f", "-", stdin=model())
    assert kubectl("label", "model/iris", "a=1") == "model.mlops.seldon.io/iris labeled\n"
    assert "already has a value" in kubectl.fails("label", "model/iris", "a=2")
    kubectl("label", "--overwrite", "model/iris", "a=2", "b=3")
    kubectl("annotate", "model/iris", "note=text with spaces")
    meta = get("model/iris")["metadata"]
    assert meta["labels"] == {"a": "2", "b": "3"}
    assert meta["annotations"] == {"note": "text with spaces"}
    kubectl("label", "model/iris", "a-", "b-")
    kubectl("annotate", "model/iris", "note-")
    meta = get("model/iris")["metadata"]
    assert not meta.get("labels")
    assert not meta.get("annotations")
    kubectl("create", "configmap", "c")
    kubectl("label", "configmap/c", "a=1")
    assert get("configmap/c")["metadata"]["labels"] == {"a": "1"}


def test_scale(kubectl, get):
    kubectl("create", "-f", "-", stdin=model(replicas=1))
    assert kubectl("scale", "model/iris", "--replicas=3") == "model.mlops.seldon.io/iris scaled\n"
    assert get("model/iris")["spec"]["replicas"] == 3
    wrong = kubectl.fails("scale", "model/iris", "--current-replicas=1", "--replicas=5")
    assert "Expected replicas to be 1, was 3" in wrong
    kubectl("scale", "models", "--all", "--replicas=0")
    assert get("model/iris")["spec"]["replicas"] == 0


# --- deletion -----------------------------------------------------------------------------------------------


def test_delete(kubectl):
    for name in ("a", "b", "c"):
        kubectl("create", "-f", "-", stdin=model(name, labels={"name": name}))
    assert kubectl("delete", "model", "a").startswith('model.mlops.seldon.io "a" deleted')
    assert "not found" in kubectl.fails("delete", "model", "a")
    assert kubectl("delete", "model", "a", "--ignore-not-found") == ""
    kubectl("delete", "models", "-l", "name=b")
    assert kubectl("get", "models", "-o", "name").split() == ["model.mlops.seldon.io/c"]
    kubectl("delete", "models", "--all")
    assert kubectl("get", "models", "-o", "name") == ""


def test_delete_waits_for_finalizers(kubectl):
    sent = model()
    sent["metadata"]["finalizers"] = ["bailie.io/test"]
    kubectl("create", "-f", "-", stdin=sent)
    assert "timed out" in kubectl.fails("delete", "model/iris", "--timeout=1s")
    assert "deleted" in kubectl("delete", "model/iris", "--wait=false")
    with kubectl.streaming("delete", "model/iris", "--ignore-not-found", "--timeout=30s") as process:
        kubectl("patch", "model/iris", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert process.wait(60) == 0
    assert kubectl.run("get", "model/iris").code != 0


@pytest.mark.usefixtures("controllers")
@pytest.mark.parametrize(
    ("cascade", "stays"), [("background", False), ("foreground", False), ("orphan", True)]
)
def test_cascades(kubectl, cluster, get, cascade, stays):
    kubectl("create", "-f", "-", stdin=model())
    owner = get("model/iris")
    identity = {key: owner["metadata"][key] for key in ("name", "uid")}
    reference = identity | {"apiVersion": owner["apiVersion"], "kind": "Model", "blockOwnerDeletion": True}
    kubectl("create", "-f", "-", stdin=config_map("child", ownerReferences=[reference]))
    kubectl("delete", "model/iris", f"--cascade={cascade}", "--timeout=30s")
    assert kubectl.run("get", "model/iris").code != 0
    if stays:
        assert "ownerReferences" not in get("configmap/child")["metadata"]
    else:
        eventually(lambda: kubectl.run("get", "configmap/child").code != 0, what="the child gone")


@pytest.mark.usefixtures("controllers")
def test_delete_of_a_namespace_waits(kubectl, cluster, new_namespace):
    other = new_namespace()
    cluster.http.post(MODELS.format(other), json=model())
    kubectl("delete", "namespace", other, "--timeout=30s")
    assert "not found" in kubectl.fails("get", "namespace", other)


def test_create_namespace(kubectl, namespace):
    name = f"{namespace}-made"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    kubectl("delete", "namespace", name, "--wait=false")
