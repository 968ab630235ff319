import pytest

from kubeapi.schemas.schema import default, prune, strict_error, validate

SPEC = {
    "type": "object",
    "required": ["storageUri"],
    "properties": {
        "storageUri": {"type": "string", "minLength": 1, "pattern": "^[a-z]+:"},
        "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10},
        "memory": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "logLevel": {"type": "string", "enum": ["info", "debug"]},
        "requirements": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
        "weight": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
        "note": {"type": "string", "nullable": True, "maxLength": 5},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "candidates": {
            "type": "array",
            "minItems": 1,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "default": 1}},
            },
        },
        "when": {"type": "string", "format": "date-time"},
        "either": {
            "oneOf": [{"required": ["b"]}, {"required": ["c"]}],
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": SPEC,
    },
}


def model(**spec):
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "iris"},
        "spec": {"storageUri": "gs:x", **spec},
    }


@pytest.mark.parametrize(
    ("spec", "field", "reason", "message"),
    [
        (
            {"replicas": "three"},
            "spec.replicas",
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        ),
        (
            {"replicas": None},
            "spec.replicas",
            "FieldValueTypeInvalid",
            'Invalid value: "null": spec.replicas in body must be of type integer: "null"',
        ),
        (
            {"replicas": -1},
            "spec.replicas",
            "FieldValueInvalid",
            "Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
        ),
        (
            {"replicas": 11},
            "spec.replicas",
            "FieldValueInvalid",
            "Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        (
            {"storageUri": "here"},
            "spec.storageUri",
            "FieldValueInvalid",
            "Invalid value: \"here\": spec.storageUri in body should match '^[a-z]+:'",
        ),
        (
            {"logLevel": "loud"},
            "spec.logLevel",
            "FieldValueNotSupported",
            'Unsupported value: "loud": supported values: "info", "debug"',
        ),
        ({"note": "too long"}, "spec.note", "FieldValueTooLong", "Too long: may not be more than 5 bytes"),
        (
            {"requirements": ["a", "b", "c", "d"]},
            "spec.requirements",
            "FieldValueTooMany",
            "Too many: 4: must have at most 3 items",
        ),
        (
            {"requirements": ["a", 1]},
            "spec.requirements[1]",
            "FieldValueTypeInvalid",
            'Invalid value: "integer": spec.requirements[1] in body must be of type string: "integer"',
        ),
        (
            {"memory": True},
            "spec.memory",
            "FieldValueTypeInvalid",
            'Invalid value: "boolean": spec.memory in body must be of type integer,string: "boolean"',
        ),
        (
            {"tags": {"a": 1}},
            "spec.tags.a",
            "FieldValueTypeInvalid",
            'Invalid value: "integer": spec.tags.a in body must be of type string: "integer"',
        ),
        ({"candidates": [{"weight": 3}]}, "spec.candidates[0].name", "FieldValueRequired", "Required value"),
        (
            {"candidates": []},
            "spec.candidates",
            "FieldValueInvalid",
            "Invalid value: 0: spec.candidates in body should have at least 1 items",
        ),
        (
            {"candidates": [{"name": "a"}, {"name": "a"}]},
            "spec.candidates[1]",
            "FieldValueDuplicate",
            'Duplicate value: {"name": "a"}',
        ),
        (
            {"weight": 0},
            "spec.weight",
            "FieldValueInvalid",
            "Invalid value: 0: spec.weight in body should be greater than 0",
        ),
        (
            {"when": "yesterday"},
            "spec.when",
            "FieldValueInvalid",
            "Invalid value: \"yesterday\": spec.when in body must be of type date-time: 'yesterday'",
        ),
        (
            {"either": {"a": 1}},
            "spec.either",
            "FieldValueInvalid",
            'Invalid value: {"a": 1}: spec.either in body must validate one and only one schema (oneOf)',
        ),
    ],
)
def test_one_mistake(spec, field, reason, message):
    (cause,) = validate(SCHEMA, model(**spec))
    assert cause.as_dict() == {"field": field, "reason": reason, "message": message}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"replicas": 3},
        {"replicas": 3.0},
        {"memory": 5},
        {"memory": "5Mi"},
        {"note": None},
        {"tags": {"a": "b"}},
        {"free": {"anything": [1, {"x": None}]}},
        {"candidates": [{"name": "a"}, {"name": "b", "weight": 2}]},
        {"weight": 1},
        {"weight": 0.5},
        {"when": "2026-01-01T00:00:00Z"},
    ],
)
def test_valid(spec):
    assert validate(SCHEMA, model(**spec)) == []


def test_int32_range():
    schema = {"type": "integer", "format": "int32"}
    assert [c.reason for c in validate({"properties": {"n": schema}}, {"n": 2**31})] == ["FieldValueInvalid"]
    assert validate({"properties": {"n": schema | {"format": "int64"}}}, {"n": 2**31}) == []


def test_all_mistakes_at_once():
    wrong = model(replicas="x", logLevel="loud")
    del wrong["spec"]["storageUri"]
    assert [cause.field for cause in validate(SCHEMA, wrong)] == [
        "spec.storageUri",
        "spec.replicas",
        "spec.logLevel",
    ]


def test_a_list_where_an_object_belongs():
    (cause,) = validate(SCHEMA, {"spec": []})
    assert str(cause) == 'spec: Invalid value: "array": spec in body must be of type object: "array"'


def test_prune_reports_what_it_drops():
    obj = model(foo=1, candidates=[{"name": "a", "bar": 2}], free={"x": {"y": 1}}, tags={"a": "b"})
    obj["metadata"]["owner"] = "me"
    obj["top"] = 1
    kept, dropped = prune(SCHEMA, obj)
    assert dropped == ["metadata.owner", "spec.foo", "spec.candidates[0].bar", "top"]
    assert kept == model(candidates=[{"name": "a"}], free={"x": {"y": 1}}, tags={"a": "b"})
    assert (
        strict_error(dropped[:2])
        == 'strict decoding error: unknown field "metadata.owner", unknown field "spec.foo"'
    )


def test_prune_leaves_its_argument_alone():
    obj = model(foo=1, free={"x": {"y": 1}})
    kept, _ = prune(SCHEMA, obj)
    kept["spec"]["free"]["x"]["y"] = 2
    assert obj == model(foo=1, free={"x": {"y": 1}})


def test_prune_of_properties_inside_preserved_objects():
    schema = {
        "properties": {
            "spec": {
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}},
            }
        }
    }
    kept, dropped = prune(schema, {"spec": {"known": {"a": "1", "b": 2}, "other": {"c": 3}}})
    assert kept == {"spec": {"known": {"a": "1"}, "other": {"c": 3}}}
    assert dropped == ["spec.known.b"]


def test_prune_of_embedded_resources():
    schema = {"properties": {"template": {"x-kubernetes-embedded-resource": True, "properties": {}}}}
    kept, dropped = prune(schema, {"template": {"kind": "Pod", "metadata": {"name": "a"}, "spec": {}}})
    assert kept == {"template": {"kind": "Pod", "metadata": {"name": "a"}}}
    assert dropped == ["template.spec"]


def test_additional_properties_true_keeps_everything():
    schema = {"properties": {"data": {"type": "object", "additionalProperties": True}}}
    assert prune(schema, {"data": {"a": {"b": 1}}}) == ({"data": {"a": {"b": 1}}}, [])


def test_defaults():
    filled = default(SCHEMA, model(candidates=[{"name": "a"}, {"name": "b", "weight": None}]))
    assert filled["spec"]["candidates"] == [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]


def test_defaults_of_defaults_and_of_map_values():
    inner = {"type": "object", "properties": {"a": {"default": 1}}}
    schema = {"properties": {"one": inner | {"default": {}}, "many": {"additionalProperties": inner}}}
    assert default(schema, {"many": {"x": {}}}) == {"one": {"a": 1}, "many": {"x": {"a": 1}}}


def test_defaults_leave_nullable_nulls_and_the_argument_alone():
    schema = {"properties": {"a": {"nullable": True, "default": 1}}}
    given = {"a": None}
    assert default(schema, given) == {"a": None}
    assert given == {"a": None}
