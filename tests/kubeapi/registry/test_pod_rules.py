"""Pods that lead elsewhere are refused with the field that is wrong, also in the templates of workloads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hostile_pods import HOSTILE, MISSHAPEN

from kubeapi.registry.pod_rules import key_causes, spec_causes
from kubeapi.schemas.definitions import pod_spec
from kubeapi.schemas.schema import validate

POD_SPEC = pod_spec()
GOOD = {
    "serviceAccountName": "a.b",
    "volumes": [
        {"name": "e", "emptyDir": {}},
        {"name": "c", "configMap": {"name": "m", "items": [{"key": "k", "path": "deep/er..x"}]}},
        {"name": "s", "secret": {"secretName": "s", "optional": True}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "data-x-0"}},
        {"name": "h", "hostPath": {"path": "/srv/..models"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ],
    "containers": [
        {
            "name": "c",
            "image": "i",
            "env": [{"name": "A.b-c", "value": "x"}],
            "ports": [{"name": "http", "containerPort": 80}],
            "volumeMounts": [
                {"name": "e", "mountPath": "/e", "subPath": "a/b..c"},
                {"name": "e", "mountPath": "/f", "subPathExpr": "$(A.b-c)"},
                {"name": "later", "mountPath": "/l"},
            ],
            "readinessProbe": {"httpGet": {"path": "/v2/health?x=%20y", "port": "http"}, "periodSeconds": 0},
        }
    ],
}


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def test_what_is_well_is_let_through():
    assert list(spec_causes(GOOD, "spec", frozenset({"later"}))) == []
    assert validate(POD_SPEC, GOOD) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pod_is_refused_with_its_field(http, namespace, name):
    spec, field = HOSTILE[name]
    pod = {"metadata": {"name": "p"}, "spec": spec}
    answer = http.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid"), answer.text
    assert any(cause["field"].startswith(field) for cause in answer.json()["details"]["causes"])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_with_its_field(http, namespace, name):
    spec, field = HOSTILE[name]
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    workload = {
        "metadata": {"name": "w"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    answer = http.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=workload)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid"), answer.text
    causes = answer.json()["details"]["causes"]
    assert any(cause["field"].startswith(f"spec.template.{field}") for cause in causes)


@pytest.mark.parametrize("name", MISSHAPEN)
def test_a_pod_of_no_shape_cannot_be_read(http, namespace, name):
    pod = {"metadata": {"name": "p"}, "spec": MISSHAPEN[name]}
    answer = http.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest"), answer.text
    assert "cannot be read: spec." in answer.json()["message"]


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
@pytest.mark.parametrize("key", ["../x", "/x", "a/b", "..", ".", "..data", "", "a b", "a\0", "ä", "k" * 254])
def test_a_key_that_is_no_name_of_a_file_is_refused(http, namespace, plural, key):
    body = {"metadata": {"name": "m"}, "data": {key: "eA=="}}
    answer = http.post(f"/api/v1/namespaces/{namespace}/{plural}", json=body)
    assert (answer.status_code, answer.json()["details"]["causes"][0]["field"]) == (422, f"data[{key}]")


def test_keys_as_people_have_them_are_let_through():
    assert list(key_causes({"a.b-c_D": "", ".hidden": "", "a..b": "", "1": ""}, "data")) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _changed(part):
    """The part with something in it, or itself, replaced by any JSON."""
    if isinstance(part, dict):
        inner = st.sampled_from(sorted(part)).flatmap(
            lambda key: _changed(part[key]).map(lambda new: {**part, key: new})
        )
        return _JSON | inner if part else _JSON
    if isinstance(part, list) and part:
        inner = st.integers(0, len(part) - 1).flatmap(
            lambda at: _changed(part[at]).map(lambda new: [*part[:at], new, *part[at + 1 :]])
        )
        return _JSON | inner
    return _JSON


@given(_changed(GOOD))
def test_whatever_a_spec_holds_it_has_causes_or_none(spec):
    """The rules rely on the types, and the schema has all the types that they rely on."""
    found = validate(POD_SPEC, spec)
    if not found and isinstance(spec, dict):
        list(spec_causes(spec, "spec"))
