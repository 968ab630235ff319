import orjson
import pytest

from bailie.api.crd import crd_manifests
from kubeapi import kinds
from kubeapi.bootstrap import catalogue
from kubeapi.discovery import openapi
from kubeapi.discovery.documents import Descriptions
from kubeapi.errors import ApiError
from kubeapi.registry.builtin import builtin_resources
from kubeapi.registry.ports import NodePorts
from kubeapi.schemas.schema import prune, validate

CATALOGUE = catalogue(crd_manifests(), NodePorts())
MODEL = next(each for each in CATALOGUE if each.kind.kind == "Model")
AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@pytest.fixture
def described():
    descriptions = Descriptions(CATALOGUE)
    return lambda path, accept="application/json": orjson.loads(descriptions.answer(path, accept).body)


def test_index_names_a_document_for_every_group_version(described):
    paths = described("/openapi/v3")["paths"]
    assert {"api/v1", "apis/mlops.seldon.io/v1alpha1", "apis/coordination.k8s.io/v1"} <= paths.keys()
    url = paths["apis/mlops.seldon.io/v1alpha1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/mlops.seldon.io/v1alpha1?hash=")
    for path in paths:
        assert described(f"/openapi/v3/{path}")["openapi"] == "3.0.0"


def test_every_reference_leads_somewhere(described):
    for path in described("/openapi/v3")["paths"]:
        document = described(f"/openapi/v3/{path}")
        for reference in references(document):
            name = reference.removeprefix("#/components/schemas/")
            assert name in document["components"]["schemas"]
    document = described("/openapi/v2")
    for reference in references(document):
        assert reference.removeprefix("#/definitions/") in document["definitions"]


def test_what_a_schema_costs_does_not_double_with_each_of_its_levels(described_with):
    deep = {"type": "string"}
    for _ in range(60):
        deep = {"type": "object", "properties": {"inner": deep}}
    made = described_with(deep)
    for path in ("/openapi/v2", "/openapi/v3", "/openapi/v3/apis/mlops.seldon.io/v1alpha1"):
        assert made(path)


@pytest.fixture
def described_with():
    """The documents of an API whose Models have one more field, of this schema."""

    def made(field):
        manifests = crd_manifests()
        model = next(each for each in manifests if each["spec"]["names"]["kind"] == "Model")
        schema = model["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"]["more"] = field
        descriptions = Descriptions(catalogue(manifests, NodePorts()))
        return lambda path: orjson.loads(descriptions.answer(path, "application/json").body)

    return made


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_model_document_says_kind_and_field_validation(described):
    document = described("/openapi/v3/apis/mlops.seldon.io/v1alpha1")
    schema = document["components"]["schemas"]["io.seldon.mlops.v1alpha1.Model"]
    gvk = {"group": "mlops.seldon.io", "version": "v1alpha1", "kind": "Model"}
    assert schema["x-kubernetes-group-version-kind"] == [gvk]
    assert "storageUri" in schema["properties"]["spec"]["properties"]
    single = document["paths"]["/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/models/{name}"]
    assert single["get"]["x-kubernetes-group-version-kind"] == gvk
    names = {parameter["name"] for parameter in single["patch"]["parameters"]}
    assert {"dryRun", "fieldValidation"} <= names
    assert "application/apply-patch+yaml" in single["patch"]["requestBody"]["content"]


def test_kinds_that_cannot_be_deleted_have_no_such_operation(described):
    document = described("/openapi/v3/apis/apiextensions.k8s.io/v1")
    single = document["paths"]["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"]
    assert set(single) == {"get", "put", "patch"}


def test_definition_names():
    assert openapi.definition_name(kinds.POD) == "io.k8s.api.core.v1.Pod"
    assert openapi.definition_name(kinds.ROLE) == "io.k8s.api.rbac.v1.Role"
    assert openapi.definition_name(MODEL.kind) == "io.seldon.mlops.v1alpha1.Model"


def test_clients_that_ask_for_protobuf_get_it():
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    answer = Descriptions(CATALOGUE).answer("/openapi/v2", accept)
    assert answer.media == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert answer.body.startswith(b"\x0a\x032.0")


@pytest.mark.parametrize("path", ["/openapi/v3/apis/nothing/v1", "/openapi/v4", "/apis/nothing", "/else"])
def test_unknown_paths(described, path):
    with pytest.raises(ApiError) as raised:
        described(path)
    assert raised.value.code == 404


def test_plain_discovery(described):
    assert described("/api") == {"kind": "APIVersions", "versions": ["v1"]}
    assert "mlops.seldon.io" in {group["name"] for group in described("/apis")["groups"]}
    listed = described("/apis/mlops.seldon.io/v1alpha1")
    models = next(entry for entry in listed["resources"] if entry["name"] == "models")
    assert models["kind"] == "Model"
    assert "models/status" in {entry["name"] for entry in listed["resources"]}


@pytest.mark.parametrize(("path", "group"), [("/api", ""), ("/apis", "mlops.seldon.io")])
def test_aggregated_discovery(described, path, group):
    document = described(path, AGGREGATED)
    assert document["apiVersion"] == "apidiscovery.k8s.io/v2"
    (item,) = [item for item in document["items"] if item["metadata"]["name"] == group]
    (version,) = item["versions"]
    resource = next(r for r in version["resources"] if r["resource"] in {"models", "pods"})
    assert resource["scope"] == "Namespaced"
    assert {"list", "watch", "patch"} <= set(resource["verbs"])
    assert resource["responseKind"]["group"] == group
    assert "status" in {subresource["subresource"] for subresource in resource["subresources"]}


def test_aggregated_media_type_and_the_older_version():
    descriptions = Descriptions(CATALOGUE)
    answer = descriptions.answer(
        "/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    )
    assert answer.media == "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    assert orjson.loads(answer.body)["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert descriptions.answer("/apis", "application/json").media == "application/json"


def test_every_builtin_kind_has_a_schema():
    assert [
        r.kind.kind for r in builtin_resources(NodePorts()) if r.schema is None and "get" in r.verbs
    ] == []


def test_builtin_schemas_know_a_whole_pod():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {
            "containers": [
                {
                    "name": "a",
                    "image": "b",
                    "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "ports": [{"containerPort": 80}],
                    "resources": {"requests": {"memory": "1Gi", "cpu": 1}},
                    "tty": True,
                }
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "priority": 5,
        },
    }
    (resource,) = [r for r in builtin_resources(NodePorts()) if r.kind == kinds.POD]
    assert prune(resource.schema, pod) == (pod, [])
    assert validate(resource.schema, pod) == []
    pod["spec"]["containers"][0]["env"][0]["val"] = "x"
    assert prune(resource.schema, pod)[1] == ["spec.containers[0].env[0].val"]
