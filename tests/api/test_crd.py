from __future__ import annotations

import pytest

from bailie.api.crd import crd_manifests

BY_NAME = {crd["metadata"]["name"].partition(".")[0]: crd for crd in crd_manifests()}
FORBIDDEN = {"$ref", "$defs", "title", "allOf", "oneOf", "nullable", "const"}


def _schemas(schema, path=""):
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from _schemas(member, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _schemas(schema[key], f"{path}.{key}")


def _schema(crd):
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("name", BY_NAME)
def test_manifests_are_the_golden_ones(name, golden):
    golden.check(name, BY_NAME[name])


@pytest.mark.parametrize("name", BY_NAME)
def test_schemas_are_structural(name):
    for path, schema in _schemas(_schema(BY_NAME[name])):
        assert not FORBIDDEN & set(schema), path
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path


@pytest.mark.parametrize("name", BY_NAME)
def test_every_field_is_explained(name):
    whole = _schema(BY_NAME[name])
    for part in ("spec", "status"):
        for path, schema in _schemas(whole["properties"][part], part):
            is_member = not path.endswith((".items", ".additionalProperties"))
            assert schema.get("description") or not is_member, path


def test_what_is_required():
    assert _schema(BY_NAME["models"])["properties"]["spec"]["required"] == ["storageUri"]
    candidate = _schema(BY_NAME["experiments"])["properties"]["spec"]["properties"]["candidates"]["items"]
    assert candidate["required"] == ["name", "weight"]


def test_pods_are_kept_as_written():
    spec = _schema(BY_NAME["serverconfigs"])["properties"]["spec"]["properties"]
    assert spec["podSpec"]["x-kubernetes-preserve-unknown-fields"] is True


def test_scale_and_columns_of_models():
    version = BY_NAME["models"]["spec"]["versions"][0]
    assert version["subresources"]["scale"]["specReplicasPath"] == ".spec.replicas"
    assert [c["name"] for c in version["additionalPrinterColumns"] if not c.get("priority")] == [
        "Ready",
        "Desired Replicas",
        "Available Replicas",
        "ModelGw Ready",
        "Age",
    ]
