"""The definitions of the built-in kinds in the form that validation and merging work with."""

from __future__ import annotations

import pytest

from kubeapi import kinds
from kubeapi.kinds import ApiKind
from kubeapi.schemas.definitions import definition, name_of, pod_spec, referred_by, structural
from kubeapi.schemas.references import REFERENCE

KINDS = [each for each in vars(kinds).values() if isinstance(each, ApiKind)]


def parts(schema):
    """The schema and all schemas within it."""
    yield schema
    for field in (schema.get("properties") or {}).values():
        yield from parts(field)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_structural_schema_stands_by_itself(kind):
    for part in parts(structural(kind)):
        assert not {"$ref", "required", "description"} & part.keys()
        assert {"type", "x-kubernetes-int-or-string"} & part.keys() or part.get(
            "x-kubernetes-preserve-unknown-fields"
        )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_list_that_is_a_map_has_items_with_its_keys(kind):
    for part in parts(structural(kind)):
        keys = [*part.get("x-kubernetes-list-map-keys", ()), part.get("x-kubernetes-patch-merge-key")]
        assert {key for key in keys if key} <= set((part.get("items") or {}).get("properties") or keys)


def test_lists_merge_as_kubernetes_merges_them():
    fields = pod_spec()["properties"]
    assert fields["containers"]["x-kubernetes-list-map-keys"] == ["name"]
    assert fields["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    assert fields["tolerations"]["x-kubernetes-list-type"] == "atomic"
    ports = fields["containers"]["items"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert ports["items"]["properties"]["protocol"]["default"] == "TCP"


def test_other_kinds_have_no_definition():
    other = ApiKind("example.org", "v1", "Pod", "pods")
    assert (name_of(other), structural(other)) == (None, None)


def test_what_is_referred_to_is_found_and_nothing_else():
    name = "io.k8s.api.core.v1.ServicePort"
    assert referred_by([{"items": {"$ref": REFERENCE + name}}]).keys() == {
        name,
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    }
    assert referred_by([{"$ref": f"{REFERENCE}nothing"}, definition("io.k8s.api.rbac.v1.RoleRef")]) == {}
