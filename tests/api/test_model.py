from __future__ import annotations

import pytest

from bailie.api.model import Model, content_identity

EVERYTHING = {
    "storageUri": "gs://bucket/iris",
    "modelType": "sklearn",
    "artifactVersion": 2,
    "secretName": "store",
    "requirements": ["python", "mlserver"],
    "memory": "500Mi",
    "replicas": 2,
    "minReplicas": 1,
    "maxReplicas": 3,
    "server": "mlserver",
    "logger": {},
    "explainer": {"type": "anchor_tabular", "modelRef": "income"},
    "parameters": [{"name": "a", "value": "b"}],
    "dataflow": {"cleanTopicsOnDelete": True},
}
WRONG_TYPES = {
    "text for a number": ({"replicas": "1"}, "spec.replicas", "Invalid", 'must be an integer, not "1"'),
    "number for a text": ({"server": 1}, "spec.server", "Invalid", "must be a string, not 1"),
    "truth for a number": ({"replicas": True}, "spec.replicas", "Invalid", "must be an integer, not true"),
    "object for a list": (
        {"requirements": {}},
        "spec.requirements",
        "Invalid",
        "must be a list, not an object",
    ),
    "list for an object": ({"logger": []}, "spec.logger", "Invalid", "must be an object, not a list"),
    "text for a truth": (
        {"preloaded": "yes"},
        "spec.preloaded",
        "Invalid",
        'must be true or false, not "yes"',
    ),
    "negative version": (
        {"artifactVersion": -1},
        "spec.artifactVersion",
        "Invalid",
        "must be at least 0, not -1",
    ),
    "inside a list": ({"parameters": [{"name": "a"}]}, "spec.parameters[0].value", "Required", "is required"),
    "float memory": ({"memory": 1.5}, "spec.memory", "Invalid", "must be an integer or a string"),
}
UNKNOWN_FIELDS = {
    "a slip": ({"storagUri": "/m"}, "spec.storagUri", '"storagUri" here; did you mean "storageUri"?'),
    "another spelling": (
        {"min_replicas": 1},
        "spec.min_replicas",
        '"min_replicas" here; did you mean "minReplicas"?',
    ),
    "a slip within a list": (
        {"parameters": [{"name": "a", "value": "b", "vale": "c"}]},
        "spec.parameters[0].vale",
        '"vale" here; did you mean "value"?',
    ),
    "like none of few": (
        {"parameters": [{"name": "a", "value": "b", "x": "c"}]},
        "spec.parameters[0].x",
        '"x" here; known are name, value',
    ),
    "like none of many": (
        {"foo": 1},
        "spec.foo",
        (
            '"foo" here; known are replicas, minReplicas, maxReplicas, storageUri, modelType,'
            " artifactVersion, schemaUri, secretName, requirements, memory, server, preloaded, …"
        ),
    ),
}
CONTRADICTIONS = {
    "no artifact": ({"storageUri": " "}, "spec.storageUri", "Required"),
    "no memory": ({"memory": "0"}, "spec.memory", "Invalid"),
    "negative memory": ({"memory": "-1Mi"}, "spec.memory", "Invalid"),
    "explainer and llm": ({"explainer": {"modelRef": "a"}, "llm": {"modelRef": "a"}}, "spec.llm", "Invalid"),
    "two references": ({"llm": {"modelRef": "a", "pipelineRef": "b"}}, "spec.llm.pipelineRef", "Invalid"),
    "no reference": ({"explainer": {"type": "x"}}, "spec.explainer.modelRef", "Required"),
    "scaling": ({"replicas": 3, "maxReplicas": 2}, "spec.replicas", "InvalidScaling"),
}
WITHOUT_EFFECT = {
    "thousandths of a byte": ({"memory": "500m"}, "spec.memory"),
    "a few bytes": ({"memory": 500}, "spec.memory"),
    "a parameter twice": (
        {
            "parameters": [
                {"name": "a", "value": "1"},
                {"name": "b", "value": "1"},
                {"name": "a", "value": "2"},
            ]
        },
        "spec.parameters[0]",
    ),
    "a parameter without a name": ({"parameters": [{"name": "", "value": "1"}]}, "spec.parameters[0].name"),
    "schemaUri": ({"schemaUri": "x"}, "spec.schemaUri"),
    "preloaded": ({"preloaded": True}, "spec.preloaded"),
    "dedicated": ({"dedicated": True}, "spec.dedicated"),
    "logger": ({"logger": {}}, "spec.logger"),
    "percent": ({"logger": {"percent": 10}}, "spec.logger"),
    "dataflow": ({"dataflow": {}}, "spec.dataflow"),
    "topics": ({"dataflow": {"cleanTopicsOnDelete": True}}, "spec.dataflow"),
}
NEW_VERSION = {
    "artifact": {"storageUri": "/other"},
    "artifact version": {"artifactVersion": 3},
    "secret": {"secretName": "x"},
    "type": {"modelType": "xgboost"},
    "requirements": {"requirements": ["python"]},
    "memory": {"memory": "600Mi"},
    "server": {"server": "other"},
    "parameters": {"parameters": [{"name": "a", "value": "c"}]},
    "explainer": {"explainer": {"type": "anchor_tabular", "modelRef": "other"}},
}
SAME_VERSION = {
    "replicas": {"replicas": 3},
    "bounds": {"minReplicas": 2, "maxReplicas": 9},
    "logging": {"logger": None},
    "topics": {"dataflow": None},
    "same memory otherwise written": {"memory": 500 * 2**20},
    "schema": {"schemaUri": "x"},
}


def test_every_field_is_read(manifest):
    model, problems = Model.parse(manifest("Model", EVERYTHING))
    assert {(p.path, p.reason) for p in problems} == {
        ("spec.logger", "NoEffect"),
        ("spec.dataflow", "NoEffect"),
    }
    assert model.spec.storage_uri == "gs://bucket/iris"
    assert model.spec.memory_bytes == 500 * 2**20
    assert model.spec.effective_requirements == ("python", "mlserver", "sklearn")
    assert model.spec.scaling.replicas == 2
    assert model.spec.model_dump(by_alias=True, exclude_none=True, mode="json") == EVERYTHING


@pytest.mark.parametrize(("change", "path", "reason", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_wrong_types_are_refused_with_the_path(manifest, change, path, reason, message):
    model, problems = Model.parse(manifest("Model", {"storageUri": "/x", **change}))
    assert model is None
    assert [(p.path, p.reason, p.message) for p in problems] == [(path, reason, message)]


@pytest.mark.parametrize(("change", "path", "words"), UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS)
def test_of_an_unknown_field_the_known_ones_are_told(manifest, change, path, words):
    _, problems = Model.parse(manifest("Model", {"storageUri": "/x", **change}))
    told = [(p.path, p.reason, p.message) for p in problems]
    assert told == [(path, "Unknown", f"there is no field {words}")]


@pytest.mark.parametrize(("change", "path", "reason"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_refused(manifest, change, path, reason):
    model, problems = Model.parse(manifest("Model", {"storageUri": "/x", **change}))
    assert model is None
    assert [(p.path, p.reason) for p in problems] == [(path, reason)]


@pytest.mark.parametrize(("change", "path"), WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_fields_without_effect_are_accepted_with_a_warning(manifest, change, path):
    model, problems = Model.parse(manifest("Model", {"storageUri": "/x", **change}))
    assert model is not None
    assert [(p.path, p.reason) for p in problems] == [(path, "NoEffect")]


def test_every_problem_is_told_at_once(manifest):
    spec = {"storageUri": "", "memory": "0", "replicas": 1, "minReplicas": 2, "dedicated": True}
    _, problems = Model.parse(manifest("Model", spec, name="Iris.v1"))
    paths = [p.path for p in problems]
    assert paths == ["metadata.name", "spec.storageUri", "spec.memory", "spec.replicas", "spec.dedicated"]


def test_wrong_types_do_not_hide_contradictions(manifest):
    spec = {"storageUri": "", "replicas": "2", "explainer": {"modelRef": 1}, "foo": 1, "memory": 0}
    _, problems = Model.parse(manifest("Model", spec, name="Iris"))
    assert [p.path for p in problems] == [
        "spec.replicas",
        "spec.explainer.modelRef",
        "spec.foo",
        "metadata.name",
        "spec.storageUri",
        "spec.memory",
    ]


def test_faults_inside_lists_do_not_confuse_the_rest(manifest):
    spec = {"storageUri": "", "requirements": [1, "a"], "parameters": [{"name": 1, "value": "x"}]}
    _, problems = Model.parse(manifest("Model", spec))
    assert [p.path for p in problems] == ["spec.requirements[0]", "spec.parameters[0].name"]


@pytest.mark.parametrize("name", ["Iris", "iris_1", "-iris", "iris-", "a..b", "a" * 64, ""])
def test_a_name_that_models_do_not_have_is_refused(manifest, name):
    model, problems = Model.parse(manifest("Model", {"storageUri": "/x"}, name=name))
    assert model is None
    assert [p.path for p in problems] == ["metadata.name"]


def test_an_empty_manifest_gives_problems_not_an_exception():
    model, problems = Model.parse({})
    assert model is None
    assert [p.path for p in problems] == ["apiVersion", "kind", "metadata", "spec"]


def test_another_kind_is_refused(manifest):
    model, problems = Model.parse(manifest("Server", {"storageUri": "/x"}))
    assert model is None
    assert str(problems[0]) == 'kind: must be "Model", not "Server"'


def test_nulls_count_as_absent(manifest):
    model, problems = Model.parse(
        manifest("Model", {"storageUri": "/x", "replicas": None, "requirements": None})
    )
    assert model is not None
    assert problems == []


def test_unknown_status_is_ignored(manifest):
    stored = manifest("Model", {"storageUri": "/x"})
    condition = {"type": "Ready", "status": "True", "later": 1}
    model, problems = Model.parse({**stored, "status": {"invented": {}, "conditions": [condition]}})
    assert problems == []
    assert model.status.condition("Ready").status == "True"
    assert model.status.condition("ModelReady") is None


HALF = {"\ud800": [], "\ud83d\ude00": {}, "a\udfff": "b"}
"""JSON can say a half of a character, which is no text."""


@pytest.mark.parametrize("key", HALF, ids=ascii)
@pytest.mark.parametrize("place", ["", "metadata", "spec", "spec.explainer", "spec.parameters"])
def test_a_key_that_is_no_text_is_a_problem_wherever_it_is(manifest, place, key):
    made = manifest("Model", {**EVERYTHING, "explainer": {"modelRef": "income"}, "parameters": [{}]})
    parent = made
    for step in filter(None, place.split(".")):
        parent = parent[step]
    (parent[0] if isinstance(parent, list) else parent)[key] = HALF[key]
    found, problems = Model.parse(made)
    assert found is None
    assert problems


@pytest.mark.parametrize("change", NEW_VERSION.values(), ids=NEW_VERSION)
def test_identity_changes_with_the_content(manifest, change):
    assert _identity(manifest, change) != _identity(manifest, {})


@pytest.mark.parametrize("change", SAME_VERSION.values(), ids=SAME_VERSION)
def test_identity_is_not_touched_by_the_rest(manifest, change):
    assert _identity(manifest, change) == _identity(manifest, {})


def test_identity_is_of_this_object(manifest):
    first, _ = Model.parse(manifest("Model", {"storageUri": "/x"}))
    second, _ = Model.parse(manifest("Model", {"storageUri": "/x"}, uid="u-2"))
    assert content_identity(first) != content_identity(second)


def test_identity_is_stable_across_releases(manifest):
    assert _identity(manifest, {}) == "5bd987d553ed5c52"


def _identity(manifest, change):
    model, _ = Model.parse(manifest("Model", {**EVERYTHING, **change}))
    return content_identity(model)
