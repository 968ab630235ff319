"""The protobuf document, read back by its field numbers."""

from __future__ import annotations

import orjson
import pytest

from bailie.api.crd import crd_manifests
from kubeapi.bootstrap import catalogue
from kubeapi.discovery import openapi
from kubeapi.discovery.openapi_v2 import encode
from kubeapi.registry.ports import NodePorts
from kubeapi.wire.protobuf import _fields as fields_of

CATALOGUE = catalogue(crd_manifests(), NodePorts())
DOCUMENT = openapi.document(CATALOGUE, "/openapi/v2")


def all_of(data, number):
    return [value for found, value in fields_of(data) if found == number]


def one(data, *path):
    for number in path:
        (data,) = all_of(data, number)
    return data


def named(data, number):
    return {one(entry, 1).decode(): one(entry, 2) for entry in all_of(data, number)}


def extensions(data, number):
    return {name: orjson.loads(one(value, 2)) for name, value in named(data, number).items()}


@pytest.fixture(scope="module")
def encoded():
    return encode(DOCUMENT)


def test_every_definition_is_there_with_its_kind_and_its_fields(encoded):
    found = named(one(encoded, 9), 1)
    assert found.keys() == DOCUMENT["definitions"].keys()
    for name, schema in DOCUMENT["definitions"].items():
        kinds = extensions(found[name], 31).get("x-kubernetes-group-version-kind")
        assert kinds == schema.get("x-kubernetes-group-version-kind"), name
        fields = [named(properties, 1) for properties in all_of(found[name], 25)]
        assert [set(each) for each in fields] == (
            [set(schema["properties"])] if schema.get("properties") else []
        )


def test_fields_have_their_types_and_references(encoded):
    schemas = named(one(encoded, 9), 1)
    spec = named(one(schemas["io.k8s.api.core.v1.PodSpec"], 25), 1)
    assert one(spec["hostname"], 22, 1) == b"string"
    assert one(spec["containers"], 22, 1) == b"array"
    assert one(spec["containers"], 23, 1, 1) == b"#/definitions/io.k8s.api.core.v1.Container"
    assert extensions(spec["containers"], 31)["x-kubernetes-patch-merge-key"] == "name"
    assert one(spec["nodeSelector"], 21, 1, 22, 1) == b"string"
    assert b"containers" in all_of(schemas["io.k8s.api.core.v1.PodSpec"], 19)


def test_what_version_2_has_no_words_for_is_left_open():
    open_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {}}}
    document = {
        **DOCUMENT,
        "paths": {},
        "definitions": {"x": open_object, "y": {"type": "string", "nullable": True}},
    }
    found = named(one(encode(document), 9), 1)
    assert [all_of(found[name], number) for name in "xy" for number in (22, 25)] == [[], [], [], []]


def test_a_patch_names_its_kind_and_its_parameters(encoded):
    paths = named(one(encoded, 8), 2)
    patch = one(paths["/api/v1/namespaces/{name}"], 8)
    assert extensions(patch, 13)["x-kubernetes-group-version-kind"]["kind"] == "Namespace"
    assert b"fieldValidation" in [one(each, 1, 2, 3, 4) for each in all_of(patch, 8)]
