"""`bailie status` of one namespace, as of a cluster: what is there, and how the command ends."""

from __future__ import annotations

import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.manifests import manifest_of

from bailie.cli.app import app
from bailie.cli.lifecycle import rows

RUNNER = CommandRunner()
GROUP = "/apis/mlops.seldon.io/v1alpha1/namespaces/{}"


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        for name in ("a", "empty"):
            running.namespace(name)
        yield running


def status(api, *options):
    return RUNNER.invoke(app, ["status", "--kubeconfig", str(api.kubeconfig), *options])


def put_model(api, *, ready):
    manifest = manifest_of("Model", "iris", {"storageUri": "/m"}, "a")
    del manifest["metadata"]["uid"]
    api.request("POST", f"{GROUP.format('a')}/models", json=manifest)
    condition = {"type": "Ready", "status": str(ready), "message": "" if ready else "no server fits"}
    api.request(
        "PATCH",
        f"{GROUP.format('a')}/models/iris/status",
        json={"status": {"conditions": [condition], "availableReplicas": int(ready)}},
        headers={"content-type": "application/merge-patch+json"},
    )


@pytest.mark.parametrize(("ready", "code", "said"), [(True, 0, "1 replica"), (False, 4, "no server fits")])
def test_a_namespace_of_a_cluster(api, ready, code, said):
    put_model(api, ready=ready)
    result = status(api, "-n", "a")
    assert (result.exit_code, said in result.stdout) == (code, True)
    assert "model iris" in result.stdout
    assert json.loads(status(api, "-n", "a", "-o", "json").stdout)["namespaces"].keys() == {"a"}


def test_a_namespace_with_nothing_of_ours_is_named(api):
    result = status(api, "-n", "empty")
    assert result.exit_code == 3
    assert "namespace empty of" in result.stderr
    assert "has no SeldonRuntime, no Server and no Model" in result.stderr


@pytest.mark.parametrize(
    ("ready", "message", "detail"),
    [(True, "", "http://127.1.2.3:19090"), (False, "started, not ready yet", "started, not ready yet")],
)
def test_prometheus_is_a_part_of_a_laptops_status(ready, message, detail):
    prometheus = {"ready": ready, "message": message, "url": "http://127.1.2.3:19090"}
    found = rows({"prometheus": prometheus, "namespaces": {}})
    assert found == [("bailie-system", "prometheus", ready, detail)]


def test_pipelines_and_experiments_are_parts_of_a_namespace():
    parts = dict.fromkeys(("runtimes", "schedulers", "envoys", "servers", "models"), ())
    told = {"name": "choice", "ready": False, "reason": "ModelsNotReady", "message": "step a does not answer"}
    split = {"name": "flower", "ready": True, "reason": "Ready", "message": ""}
    found = rows({"namespaces": {"a": {**parts, "pipelines": [told], "experiments": [split]}}})
    assert found == [
        ("a", "pipeline choice", False, "step a does not answer"),
        ("a", "experiment flower", True, "Ready"),
    ]


def test_a_runtime_is_shown_where_it_is_not_ready():
    kinds = ("schedulers", "envoys", "servers", "models", "pipelines", "experiments")
    runtimes = [
        {"name": "seldon", "ready": True, "message": ""},
        {"name": "second", "ready": False, "reason": "", "message": "there is one already"},
    ]
    found = rows({"namespaces": {"a": {**dict.fromkeys(kinds, ()), "runtimes": runtimes}}})
    assert found == [("a", "runtime second", False, "there is one already")]


def test_monitoring_without_a_prometheus_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = ["up", "--monitoring", "--no-default-servers", "--state-dir", str(tmp_path / "state")]
    result = RUNNER.invoke(app, command)
    assert result.exit_code == 1
    assert "needs the program `prometheus` on the PATH: install it" in result.stderr
    assert not (tmp_path / "state").exists()
