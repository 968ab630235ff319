"""CustomResourceDefinitions: as they were when the API started; labels and owners may be written."""

from __future__ import annotations

import copy

import pytest
from tests.support.api import running_api

from bailie.api.crd import crd_manifests

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = {"content-type": "application/merge-patch+json"}
FORBIDDEN = "spec: Forbidden: this API serves the definitions that it was started with"
MODEL = "models.mlops.seldon.io"


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


def test_a_definition_that_is_served_can_be_marked_and_written_again_as_it_is(http):
    answer = http.patch(f"{PATH}/{MODEL}", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert answer.status_code == 200
    assert answer.json()["metadata"]["labels"]["a"] == "b"
    found = answer.json()
    again = http.put(f"{PATH}/{MODEL}", json=found | {"status": {"conditions": []}})
    assert again.status_code == 200
    assert {condition["type"] for condition in again.json()["status"]["conditions"]} == {
        "NamesAccepted",
        "Established",
    }


def test_a_definition_that_is_served_is_there_already(http):
    (manifest,) = [each for each in crd_manifests() if each["metadata"]["name"] == MODEL]
    assert http.post(PATH, json=manifest).status_code in {409, 422}


@pytest.mark.parametrize(
    "change", [{"scope": "Cluster"}, {"versions": []}, {"versions": None}, {"group": None}]
)
def test_no_definition_changes(http, change):
    answer = http.patch(f"{PATH}/{MODEL}", json={"spec": change}, headers=MERGE)
    assert (answer.status_code, FORBIDDEN in answer.text) == (422, True)


@pytest.mark.parametrize("body", [{}, {"spec": {}}, {"spec": {"group": "x.y", "versions": [{"schema": 3}]}}])
def test_no_definition_is_added(http, body):
    answer = http.post(PATH, json={"metadata": {"name": "foos.x.y"}, **body})
    assert answer.status_code in {400, 422}
    assert http.get(f"{PATH}/foos.x.y").status_code == 404


def test_none_is_deleted(http):
    assert http.delete(f"{PATH}/{MODEL}").status_code == 405


def test_marks_outlive_a_start_with_newer_definitions(tmp_path):
    older = copy.deepcopy(crd_manifests())
    older[0]["spec"]["versions"][0]["additionalPrinterColumns"] = []
    path = f"{PATH}/{older[0]['metadata']['name']}"
    with running_api(tmp_path, definitions=older) as api:
        api.request("PATCH", path, json={"metadata": {"annotations": {"a": "b"}}}, headers=MERGE)
        before = api.request("GET", path)
    newer = copy.deepcopy(crd_manifests())
    newer[0]["metadata"]["annotations"] = {"a": "other", "c": "d"}
    with running_api(tmp_path, definitions=newer) as api:
        after = api.request("GET", path)
    assert after["spec"] == crd_manifests()[0]["spec"] != before["spec"]
    assert after["metadata"]["annotations"] == {"a": "b", "c": "d"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_start_with_the_same_definitions_writes_nothing_and_with_a_new_mark_adds_it(tmp_path):
    path = f"{PATH}/{MODEL}"
    with running_api(tmp_path, definitions=crd_manifests()) as api:
        first = api.request("GET", path)
    with running_api(tmp_path, definitions=crd_manifests()) as api:
        assert api.request("GET", path) == first
    with running_api(tmp_path) as api:  # with Helm's marks
        marked = api.request("GET", path)
    assert marked["metadata"]["annotations"]["meta.helm.sh/release-name"] == "seldon-core-v2-crds"
    assert marked["metadata"]["uid"] == first["metadata"]["uid"]
