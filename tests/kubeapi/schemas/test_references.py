"""References between definitions."""

from __future__ import annotations

from kubeapi.schemas.references import REFERENCE, closure, referred

DEFINITIONS = {
    "a": {"properties": {"$ref": {"type": "string"}, "b": {"items": {"$ref": f"{REFERENCE}b"}}}},
    "b": {"oneOf": [{"$ref": f"{REFERENCE}a"}, {"$ref": f"{REFERENCE}nothing"}]},
    "c": {},
}


def test_a_field_that_is_called_like_a_reference_is_none():
    assert list(referred(DEFINITIONS["a"])) == ["b"]


def test_a_closure_ends_where_definitions_lead_in_a_circle():
    assert closure(DEFINITIONS, ["a"]).keys() == {"a", "b"}
    assert closure(DEFINITIONS, ["c", "nothing"]) == {"c": {}}
