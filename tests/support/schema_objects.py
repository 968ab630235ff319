"""Objects of our kinds that the API takes: good ones, parts of which are replaced by others of their types.

The values are few and alike, so that names meet names: most objects are half right.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.support.manifests import manifest_of

from bailie.api.annotations import ASKED
from bailie.api.crd import resource_schema
from bailie.api.registry import RESOURCES

TEXTS = st.just("") | st.sampled_from(
    ["iris", "rose", "flower", "iris.outputs", "flower.inputs.x", "pipeline", "é"]
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 50, 2**31 - 1])
SAID = {
    "bailie.io/progressive": "steps=20%:10s",
    "bailie.io/deliver": "back x",
    "bailie.io/scale": "in-flight=8",
    "bailie.io/scale-to-zero": "10m",
}
"""A text that each annotation understands."""
_SCALED = {"replicas": 1, "minReplicas": 0, "maxReplicas": 3}
_GOOD: dict[str, dict[str, Any]] = {
    "Model": {"storageUri": "/m", **_SCALED},
    "Server": {"serverConfig": "mlserver", **_SCALED},
    "SeldonRuntime": {"seldonConfig": "default", "config": {"scalingConfig": {"models": {"enabled": True}}}},
    "Experiment": {
        "default": "iris",
        "candidates": [{"name": "iris", "weight": 1}, {"name": "rose", "weight": 1}],
    },
    "Pipeline": {
        "steps": [
            {"name": "iris", "batch": {"size": 2}},
            {"name": "rose", "inputs": ["iris"], "triggers": ["iris.outputs.x"], "tensorMap": {}},
        ],
        "input": {"externalInputs": ["flower.outputs"]},
        "output": {"steps": ["rose"]},
    },
}
_KINDS = {each.resource_kind.kind: each for each in RESOURCES.values()}
_MISSING = object()


@st.composite
def objects(draw: st.DrawFn, kind: str, name: str) -> dict[str, Any]:
    """An object of the kind, as the API would store it."""
    schema = resource_schema(_KINDS[kind])["properties"]["spec"]
    spec = _drawn(draw, schema, _GOOD[kind])
    names = draw(st.sets(st.sampled_from(ASKED.get(kind, ("bailie.io/x",)))))
    annotations = {each: draw(st.just(SAID.get(each, "true")) | TEXTS) for each in sorted(names)}
    made = manifest_of(kind, name, spec, generation=1, annotations=annotations)
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return made


def _drawn(draw: st.DrawFn, schema: dict[str, Any], good: Any = _MISSING) -> Any:
    """Returns a value of the schema's type: the good one, or with one in six another."""
    other = good is _MISSING or draw(st.integers(0, 5)) == 0
    if "properties" in schema and isinstance(good, dict):
        known = schema["properties"]
        names = {key for key in good if key in schema.get("required", ()) or draw(st.integers(0, 9))}
        if other:
            names.add(draw(st.sampled_from(sorted(known))))
        return {key: _drawn(draw, known[key], good.get(key, _MISSING)) for key in sorted(names)}
    if isinstance(good, list) and not other:
        return [_drawn(draw, schema["items"], each) for each in good]
    return draw(_values(schema)) if other else good


def _values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return NUMBERS | TEXTS
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return _OF_TYPE.get(schema.get("type", ""), lambda _: st.just({}))(schema)


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        return st.dictionaries(TEXTS, _values(schema["additionalProperties"]), max_size=2)
    members = {key: _values(each) for key, each in schema.get("properties", {}).items()}
    needed = {key: members.pop(key) for key in schema.get("required", ())}
    return st.fixed_dictionaries(needed, optional=members)


_OF_TYPE = {
    "object": _object,
    "array": lambda schema: st.lists(_values(schema["items"]), max_size=3),
    "integer": lambda schema: NUMBERS if schema.get("minimum") == 0 else NUMBERS | st.just(-1),
    "boolean": lambda _: st.booleans(),
    "string": lambda _: TEXTS,
}
