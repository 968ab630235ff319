"""Objects of the API in the words of Seldon Core v2's command line."""

import pytest

from bailie.cli.seldon.views import (
    MODEL_STATES,
    experiment_status,
    go_map,
    model_state,
    model_status,
    pipeline_status,
    server_status,
    table,
)
from bailie.lifecycle.version import VersionState

NOT_RUN = "this version of Bailie does not run pipelines yet"


def a(kind, conditions=(), *, spec=None, status=None, **metadata):
    return {
        "kind": kind,
        "metadata": {"name": "iris", "namespace": "team-a", "generation": 2, **metadata},
        "spec": spec or {},
        "status": {"observedGeneration": 2, "conditions": list(conditions), **(status or {})},
    }


def said(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        ("True", "ModelAvailable", "ModelAvailable"),
        ("False", "ModelProgressing", "ModelProgressing"),
        ("False", "ScheduleFailed", "ScheduleFailed"),
        ("False", "BelowMinReplicas", "ScheduleFailed"),
        ("False", "ModelScaledDown", "ModelScaledDown"),
        ("False", "RoutePending", "ModelProgressing"),
        ("False", "ServerNotReady", "ModelProgressing"),
        ("False", "DownloadFailed", "ModelFailed"),
        ("False", "InvalidSpec", "ModelFailed"),
    ],
)
def test_the_state_of_a_model(status, reason, state):
    assert model_state(a("Model", [said("RolledOut", status, reason, "why")]))[0] == state


@pytest.mark.parametrize("state", [each.value for each in VersionState])
def test_each_of_our_states_is_one_of_upstreams(state):
    status = "True" if state == "ModelAvailable" else "False"
    assert model_state(a("Model", [said("RolledOut", status, state)]))[0] in MODEL_STATES


def test_a_model_that_no_scheduler_has_looked_at_has_no_state():
    assert model_state({**a("Model"), "status": {}})[0] == "ModelStateUnknown"


def test_a_model_that_is_being_deleted_is_terminating():
    model = a("Model", [said("RolledOut", "True", "ModelAvailable")], deletionTimestamp="now")
    assert model_state(model) == ("ModelTerminating", "")


def test_a_status_of_the_spec_before_makes_nothing_available():
    model = a("Model", [said("RolledOut", "True", "ModelAvailable")], generation=3)
    assert model_state(model) == ("ModelProgressing", "")


def test_the_reason_is_the_sentence_of_the_condition():
    found = model_state(a("Model", [said("RolledOut", "False", "DownloadFailed", "no such host")]))
    assert found == ("ModelFailed", "no such host")


def test_the_status_of_a_model():
    spec = {"storageUri": "gs://a/b", "requirements": ["sklearn"], "replicas": 2}
    status = {"selector": "server=mlserver", "availableReplicas": 2}
    model = a("Model", [said("RolledOut", "True", "ModelAvailable")], spec=spec, status=status)
    found = model_status(model)
    assert found["modelName"] == "iris"
    [version] = found["versions"]
    assert (version["version"], version["serverName"]) == (2, "mlserver")
    assert version["state"] == {"state": "ModelAvailable", "availableReplicas": 2}
    assert version["kubernetesMeta"] == {"namespace": "team-a", "generation": "2"}
    assert version["modelDefn"]["modelSpec"] == {"uri": "gs://a/b", "requirements": ["sklearn"]}
    assert version["modelDefn"]["deploymentSpec"] == {"replicas": 2}


def test_a_pipeline_says_that_it_is_not_run():
    pipeline = a("Pipeline", [said("PipelineReady", "False", "NotSupported", NOT_RUN)])
    [version] = pipeline_status(pipeline)["versions"]
    assert version["state"] == {"pipelineVersion": 2, "status": "PipelineFailed", "reason": NOT_RUN}


def test_an_experiment_that_is_not_active_says_why():
    found = experiment_status(a("Experiment", [said("ExperimentReady", "False", "DefaultTaken", "taken")]))
    assert (found["active"], found["statusDescription"]) == (False, "taken")


def test_an_active_experiment():
    conditions = [said("ExperimentReady", "True", ""), said("CandidatesReady", "False", "ModelNotFound")]
    found = experiment_status(a("Experiment", [*conditions, said("MirrorReady", "True", "NoMirror")]))
    assert (found["active"], found["statusDescription"]) == (True, "experiment active")
    assert (found["candidatesReady"], found["mirrorReady"]) == (False, True)


def test_an_experiment_of_the_spec_before_is_not_active():
    found = experiment_status(a("Experiment", [said("ExperimentReady", "True", "")], generation=3))
    assert found["active"] is False


def test_a_server():
    found = server_status(a("Server", spec={"replicas": 2}, status={"replicas": 1, "loadedModels": 3}))
    assert (found["expectedReplicas"], found["availableReplicas"], found["numLoadedModelReplicas"]) == (
        2,
        1,
        3,
    )


def test_columns_of_a_table_meet_at_tab_stops():
    shown = table(("server", "replicas", "models"), [("mlserver-custom", "1", "0"), ("triton", "12", "3")])
    columns = [line.expandtabs(8) for line in shown.splitlines()]
    assert [line.index(word) for line, word in zip(columns, ("replicas", "--------", "1", "12"), strict=True)]
    starts = {columns[0].index("replicas"), columns[2].index("1"), columns[3].index("12")}
    assert starts == {16}
    assert columns[1].split() == ["------", "--------", "------"]


def test_a_cell_as_wide_as_its_column_keeps_a_space():
    shown = table(("a", "b"), [("12345678", "x")])
    assert shown.splitlines()[2].expandtabs(8) == "12345678        x"


def test_counts_are_printed_as_go_prints_a_map():
    assert go_map({":iris2_1:": 25, ":iris_1:": 24}) == "map[:iris2_1::25 :iris_1::24]"
    assert go_map({}) == "map[]"
