"""Create, read and update: what the server sets, what it refuses, what counts as a change."""

from __future__ import annotations

import pytest
from tests.support.cluster import APPLY, CONFIG_MAPS, EXPERIMENTS, MERGE, MODELS, config_map, model


@pytest.fixture
def models(namespace):
    return MODELS.format(namespace)


@pytest.fixture
def config_maps(namespace):
    return CONFIG_MAPS.format(namespace)


def fields_of(status):
    return {(cause["field"], cause["reason"]) for cause in status["details"]["causes"]}


def test_create_sets_what_the_server_decides(cluster, models):
    answer = cluster.http.post(models, json=model())
    assert answer.status_code == 201
    created = answer.json()
    meta = created["metadata"]
    assert meta["generation"] == 1
    assert meta["uid"]
    assert meta["resourceVersion"]
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["managedFields"][0]["operation"] == "Update"
    assert created["spec"] == {"storageUri": "gs://bucket/iris"}
    assert cluster.http.get(f"{models}/iris").json() == created


def test_what_the_client_says_of_server_fields_is_ignored(cluster, models):
    sent = model()
    sent["metadata"] |= {"uid": "mine", "generation": 7, "creationTimestamp": "2000-01-01T00:00:00Z"}
    meta = cluster.http.post(models, json=sent).json()["metadata"]
    assert meta["uid"] != "mine"
    assert meta["generation"] == 1
    assert not meta["creationTimestamp"].startswith("2000")


def test_status_cannot_be_created_or_updated_with_the_object(cluster, models):
    created = cluster.http.post(models, json=model() | {"status": {"replicas": 5}}).json()
    assert "status" not in created
    changed = cluster.http.put(f"{models}/iris", json=created | {"status": {"replicas": 5}}).json()
    assert "status" not in changed
    assert changed["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


def test_status_subresource_changes_only_status(cluster, models):
    created = cluster.http.post(models, json=model(labels={"a": "1"})).json()
    sent = created | {"status": {"replicas": 5}, "spec": {"storageUri": "other"}}
    sent["metadata"] = created["metadata"] | {"labels": {"a": "2"}}
    changed = cluster.http.put(f"{models}/iris/status", json=sent).json()
    assert changed["status"] == {"replicas": 5}
    assert changed["spec"] == created["spec"]
    assert changed["metadata"]["labels"] == {"a": "1"}
    assert changed["metadata"]["generation"] == 1
    assert changed["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]


def test_generation_counts_changes_of_spec_only(cluster, models):
    cluster.http.post(models, json=model())

    def patch(path, body):
        return cluster.http.patch(f"{models}/{path}", json=body, headers=MERGE).json()["metadata"][
            "generation"
        ]

    assert patch("iris", {"metadata": {"labels": {"a": "1"}}}) == 1
    assert patch("iris/status", {"status": {"replicas": 1}}) == 1
    assert patch("iris", {"spec": {"replicas": 2}}) == 2
    assert patch("iris", {"spec": {"replicas": 2}}) == 2


def test_update_that_changes_nothing_keeps_the_resource_version(cluster, models):
    created = cluster.http.post(models, json=model()).json()
    again = cluster.http.put(f"{models}/iris", json=created).json()
    assert again["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


def test_stale_update_conflicts(cluster, models):
    created = cluster.http.post(models, json=model()).json()
    cluster.http.patch(f"{models}/iris", json={"spec": {"replicas": 2}}, headers=MERGE)
    answer = cluster.http.put(f"{models}/iris", json=created)
    assert answer.status_code == 409
    status = answer.json()
    assert status["reason"] == "Conflict"
    assert status["message"] == (
        'Operation cannot be fulfilled on models.mlops.seldon.io "iris": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_update_of_a_custom_resource_names_the_version_it_replaces(cluster, models):
    cluster.http.post(models, json=model())
    answer = cluster.http.put(f"{models}/iris", json=model(replicas=2))
    assert answer.status_code == 422
    assert ("metadata.resourceVersion", "FieldValueInvalid") in fields_of(answer.json())


def test_update_of_a_config_map_need_not(cluster, config_maps):
    cluster.http.post(config_maps, json=config_map())
    answer = cluster.http.put(f"{config_maps}/settings", json=config_map() | {"data": {"b": "2"}})
    assert answer.status_code == 200
    assert answer.json()["data"] == {"b": "2"}


def test_a_name_can_be_used_once(cluster, models):
    cluster.http.post(models, json=model())
    answer = cluster.http.post(models, json=model())
    assert answer.status_code == 409
    assert answer.json()["reason"] == "AlreadyExists"
    assert answer.json()["message"] == 'models.mlops.seldon.io "iris" already exists'


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
def test_missing_objects(cluster, models, method):
    body = {"json": model() if method == "PUT" else {}} if method in {"PUT", "PATCH"} else {}
    if method == "PUT":
        body["json"]["metadata"]["resourceVersion"] = "1"
    answer = cluster.http.request(
        method, f"{models}/iris", headers=MERGE if method == "PATCH" else {}, **body
    )
    assert answer.status_code == 404
    status = answer.json()
    assert status["kind"] == "Status"
    assert status["reason"] == "NotFound"
    assert status["message"] == 'models.mlops.seldon.io "iris" not found'
    assert status["details"] == {"name": "iris", "group": "mlops.seldon.io", "kind": "models"}


def test_missing_namespace(cluster):
    answer = cluster.http.post(MODELS.format("bailie-nowhere"), json=model())
    assert answer.status_code == 404
    assert answer.json()["message"] == 'namespaces "bailie-nowhere" not found'


def test_generate_name(cluster, models):
    sent = model()
    sent["metadata"] = {"generateName": "iris-"}
    names = {cluster.http.post(models, json=sent).json()["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("iris-") and len(name) == len("iris-") + 5 for name in names)


def test_dry_run_answers_and_stores_nothing(cluster, models):
    answer = cluster.http.post(models, params={"dryRun": "All"}, json=model())
    assert answer.status_code == 201
    assert answer.json()["metadata"]["uid"]
    assert cluster.http.get(f"{models}/iris").status_code == 404
    created = cluster.http.post(models, json=model()).json()
    query = {"dryRun": "All"}
    changed = cluster.http.patch(
        f"{models}/iris", params=query, json={"spec": {"replicas": 2}}, headers=MERGE
    )
    assert changed.json()["spec"]["replicas"] == 2
    assert cluster.http.delete(f"{models}/iris", params=query).status_code == 200
    assert cluster.http.get(f"{models}/iris").json() == created


def test_defaults_of_the_schema_are_filled_in(cluster, namespace):
    spec = {"candidates": [{"name": "a", "weight": 50}]}
    sent = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "e"},
        "spec": spec,
    }
    created = cluster.http.post(EXPERIMENTS.format(namespace), json=sent).json()
    assert created["spec"]["resourceType"] == "model"


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({"replicas": "three"}, "spec.replicas", "FieldValueTypeInvalid"),
        ({"requirements": "sklearn"}, "spec.requirements", "FieldValueTypeInvalid"),
        ({"requirements": ["sklearn", 1]}, "spec.requirements[1]", "FieldValueTypeInvalid"),
        ({"parameters": [{"name": "a"}]}, "spec.parameters[0].value", "FieldValueRequired"),
        ({"artifactVersion": -1}, "spec.artifactVersion", "FieldValueInvalid"),
        ({"memory": "much"}, "spec.memory", "FieldValueInvalid"),
        ({"logger": []}, "spec.logger", "FieldValueTypeInvalid"),
    ],
)
def test_wrong_values_are_refused_with_their_path(cluster, models, spec, field, reason):
    answer = cluster.http.post(models, json=model(**spec))
    assert answer.status_code == 422
    status = answer.json()
    assert status["reason"] == "Invalid"
    assert status["message"].startswith('Model.mlops.seldon.io "iris" is invalid: ')
    assert (field, reason) in fields_of(status)


def test_type_mistakes_are_worded_as_kubernetes_words_them(cluster, models):
    status = cluster.http.post(models, json=model(minReplicas="three")).json()
    assert status["message"] == (
        'Model.mlops.seldon.io "iris" is invalid: spec.minReplicas: Invalid value: "string": '
        'spec.minReplicas in body must be of type integer: "string"'
    )


def test_all_mistakes_are_named_at_once(cluster, models):
    sent = model(minReplicas="three", artifactVersion=-1)
    del sent["spec"]["storageUri"]
    assert {field for field, _ in fields_of(cluster.http.post(models, json=sent).json())} == {
        "spec.minReplicas",
        "spec.storageUri",
        "spec.artifactVersion",
    }


def test_wrong_status_is_refused(cluster, models):
    cluster.http.post(models, json=model())
    body = {"status": {"conditions": [{"type": "Ready", "status": "Perhaps"}]}}
    answer = cluster.http.patch(f"{models}/iris/status", json=body, headers=MERGE)
    assert answer.status_code == 422
    assert ("status.conditions[0].status", "FieldValueNotSupported") in fields_of(answer.json())


@pytest.mark.parametrize("name", ["Iris", "iris_1", "-iris", "iris-", "a" * 254, "iris..x"])
def test_names_that_are_no_dns_names(cluster, models, name):
    answer = cluster.http.post(models, json=model(name))
    assert answer.status_code == 422
    assert ("metadata.name", "FieldValueInvalid") in fields_of(answer.json())


@pytest.mark.parametrize(
    ("labels", "field"), [({"a b": "1"}, "metadata.labels"), ({"a": "b c"}, "metadata.labels")]
)
def test_labels_that_are_no_labels(cluster, models, labels, field):
    answer = cluster.http.post(models, json=model(labels=labels))
    assert answer.status_code == 422
    assert (field, "FieldValueInvalid") in fields_of(answer.json())


def test_name_and_namespace_must_fit_the_path(cluster, models):
    sent = model()
    sent["metadata"]["namespace"] = "elsewhere"
    assert cluster.http.post(models, json=sent).status_code == 400
    created = cluster.http.post(models, json=model()).json()
    created["metadata"]["name"] = "other"
    assert cluster.http.put(f"{models}/iris", json=created).status_code == 400


def test_another_kind_is_refused(cluster, models):
    answer = cluster.http.post(models, json=config_map())
    assert answer.status_code == 400
    assert answer.json()["reason"] == "BadRequest"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"'])
def test_bodies_that_are_no_objects(cluster, models, body):
    assert cluster.http.post(models, content=body).status_code == 400


def test_unknown_media_type(cluster, models):
    answer = cluster.http.post(models, content=b"x", headers={"content-type": "text/csv"})
    assert answer.status_code == 415


def test_yaml_is_read(cluster, models):
    text = (
        "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: iris}\nspec: {storageUri: x}\n"
    )
    answer = cluster.http.post(models, content=text.encode(), headers={"content-type": "application/yaml"})
    assert answer.status_code == 201
    assert answer.json()["spec"] == {"storageUri": "x"}


# --- unknown fields -----------------------------------------------------------------------------------------


def test_unknown_fields_are_refused_when_strict(cluster, models):
    sent = model(colour="red", logger={"percent": 1, "shade": "dark"})
    answer = cluster.http.post(models, params={"fieldValidation": "Strict"}, json=sent)
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert "strict decoding error: " in message
    assert 'unknown field "spec.colour"' in message
    assert 'unknown field "spec.logger.shade"' in message


def test_unknown_fields_are_dropped_with_a_warning(cluster, models):
    answer = cluster.http.post(models, params={"fieldValidation": "Warn"}, json=model(colour="red"))
    assert answer.status_code == 201
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.colour\\""'
    assert "colour" not in answer.json()["spec"]


def test_unknown_fields_are_dropped_in_silence_when_ignored(cluster, models):
    answer = cluster.http.post(models, params={"fieldValidation": "Ignore"}, json=model(colour="red"))
    assert answer.status_code == 201
    assert "warning" not in answer.headers
    assert "colour" not in answer.json()["spec"]


def test_unknown_fields_of_built_in_kinds(cluster, config_maps):
    sent = config_map() | {"dta": {"a": "1"}}
    answer = cluster.http.post(config_maps, params={"fieldValidation": "Strict"}, json=sent)
    assert answer.status_code == 400
    assert 'unknown field "dta"' in answer.json()["message"]


# --- built-in kinds -----------------------------------------------------------------------------------------


def test_nulls_of_built_in_kinds_are_dropped(cluster, config_maps):
    sent = config_map(creationTimestamp=None, labels=None) | {"binaryData": None}
    created = cluster.http.post(config_maps, params={"fieldValidation": "Strict"}, json=sent)
    assert created.status_code == 201
    assert "binaryData" not in created.json()
    assert "labels" not in created.json()["metadata"]


def test_nulls_of_custom_resources_are_dropped(cluster, models):
    sent = model(replicas=None, memory=None, logger={"percent": None})
    created = cluster.http.post(models, json=sent)
    assert created.status_code == 201, created.text
    assert created.json()["spec"] == {"storageUri": "gs://bucket/iris", "logger": {}}
    changed = cluster.http.put(f"{models}/iris", json={**created.json(), "spec": sent["spec"]})
    assert changed.json()["spec"] == created.json()["spec"]


def test_secrets_take_plain_text(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    sent = {"metadata": {"name": "s"}, "stringData": {"user": "me"}, "data": {"raw": "AAE="}}
    created = cluster.http.post(path, json=sent).json()
    assert created["data"] == {"user": "bWU=", "raw": "AAE="}
    assert created["type"] == "Opaque"
    assert "stringData" not in created


def test_immutable_config_maps_stay(cluster, config_maps):
    cluster.http.post(config_maps, json=config_map() | {"immutable": True})
    answer = cluster.http.patch(f"{config_maps}/settings", json={"data": {"a": "2"}}, headers=MERGE)
    assert answer.status_code == 422
    assert ("data", "FieldValueForbidden") in fields_of(answer.json())


@pytest.mark.usefixtures("controllers")
def test_namespaces_are_active_and_have_a_service_account(cluster, namespace):
    found = cluster.http.get(f"/api/v1/namespaces/{namespace}").json()
    assert found["status"]["phase"] == "Active"
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == namespace


def test_leases_keep_their_times(cluster, namespace):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.123456Z", "leaseDurationSeconds": 15}
    created = cluster.http.post(path, json={"metadata": {"name": "l"}, "spec": spec}).json()
    assert created["spec"] == spec


def test_times_and_number_keys_in_yaml(cluster, namespace, config_maps):
    text = 'metadata: {name: c, annotations: {since: "x"}}\ndata:\n  1: "one"\n  when: "2026-01-01"\n'
    answer = cluster.http.post(
        config_maps, content=text.encode(), headers={"content-type": "application/yaml"}
    )
    assert answer.json()["data"] == {"1": "one", "when": "2026-01-01"}
    text = "metadata: {name: l}\nspec:\n  holderIdentity: me\n  renewTime: 2026-01-01T00:00:00.000000Z\n"
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    answer = cluster.http.post(leases, content=text.encode(), headers={"content-type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"]["renewTime"] == "2026-01-01T00:00:00.000000Z"


# --- shapes -------------------------------------------------------------------------------------------------

JUNK = [0, 1.5, "x", True, [], ["x"], [[]], [{}], {"a": 1}, {"a": [None]}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize(
    "field", ["labels", "annotations", "finalizers", "ownerReferences", "name", "managedFields"]
)
def test_metadata_of_a_wrong_type_is_refused_not_stumbled_over(cluster, models, field, junk):
    sent = model()
    sent["metadata"][field] = junk
    assert cluster.http.post(models, json=sent, params={"dryRun": "All"}).status_code < 500


@pytest.mark.parametrize(
    ("field", "value"), [("labels", {"a": 1}), ("finalizers", "x"), ("ownerReferences", ["x"])]
)
def test_metadata_of_a_wrong_type_does_not_decode(cluster, models, field, value):
    sent = model()
    sent["metadata"][field] = value
    answer = cluster.http.post(models, json=sent)
    assert answer.status_code == 400
    assert answer.json()["reason"] == "BadRequest"


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("field", ["spec", "status"])
def test_parts_of_a_wrong_type(cluster, namespace, models, field, junk):
    query = {"dryRun": "All"}
    for path, sent in (
        (models, model()),
        (f"/api/v1/namespaces/{namespace}/services", {"metadata": {"name": "s"}}),
        (f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}}),
    ):
        assert cluster.http.post(path, json=sent | {field: junk}, params=query).status_code < 500
        name = f"{path}/{sent['metadata']['name']}"
        applied = query | {"fieldManager": "m"}
        answer = cluster.http.patch(name, json=sent | {field: junk}, params=applied, headers=APPLY)
        # Clusters answer some others with 500, too.
        words = "failed to create typed patch object"
        assert answer.status_code < 500 or words in answer.json()["message"] or not cluster.embedded


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"type": "Foo"}, "spec.type"),
        ({"type": "ExternalName"}, "spec.externalName"),
        ({"ports": [{"port": 80, "protocol": "HTTP"}]}, "spec.ports[0].protocol"),
    ],
)
def test_a_service_of_a_kind_that_does_not_exist_is_refused(cluster, namespace, spec, field):
    sent = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], **spec}}
    answer = cluster.http.post(f"/api/v1/namespaces/{namespace}/services", json=sent)
    assert answer.status_code == 422
    assert field in {each["field"] for each in answer.json()["details"]["causes"]}


def test_a_patch_cannot_rename(cluster, models):
    cluster.http.post(models, json=model())
    answer = cluster.http.patch(f"{models}/iris", json={"metadata": {"name": "other"}}, headers=MERGE)
    assert answer.status_code in {400, 422}
    kept = cluster.http.patch(f"{models}/iris", json={"metadata": {"name": None}}, headers=MERGE)
    assert kept.status_code in {200, 400, 422}
    assert cluster.http.get(f"{models}/iris").json()["metadata"]["name"] == "iris"


@pytest.mark.parametrize(
    "options", [{"preconditions": []}, {"dryRun": 1}, {"gracePeriodSeconds": "x"}, {"propagationPolicy": {}}]
)
def test_delete_options_of_a_wrong_type(cluster, models, options):
    cluster.http.post(models, json=model())
    assert cluster.http.request("DELETE", f"{models}/iris", json=options).status_code == 400
