"""Objects are applied all or not at all, against the embedded API, whose log of writes is looked at."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.support.api import running_api
from tests.support.commands import CommandRunner

from bailie.cli.app import app
from bailie.cli.seldon.app import app as seldon

RUNNER = CommandRunner()


@pytest.fixture(scope="module")
def api(tmp_path_factory, audit):
    with running_api(tmp_path_factory.mktemp("api"), audit_log=audit.path) as running:
        yield running


@pytest.fixture
def apply(api):
    """Applies manifests that come on standard input."""

    def run(*manifests, options=()):
        text = yaml.safe_dump_all(manifests)
        return RUNNER.invoke(
            app, ["apply", "-f", "-", *options, "--kubeconfig", str(api.kubeconfig)], input=text
        )

    return run


def model(name, namespace=None, **spec):
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Model"}
    return {**kind, "metadata": metadata, "spec": {"storageUri": "/m", **spec}}


def plain(kind, name, **fields):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def names(api, path="/apis/mlops.seldon.io/v1alpha1/models"):
    return sorted(each["metadata"]["name"] for each in api.request("GET", path)["items"])


WRONG = {
    "a field that the API does not know": (plain("Secret", "s", stringdata={"a": "b"}), 1, "stringdata"),
    "a type that the API refuses": (plain("ConfigMap", "c", data={"a": {}}), 1, "data"),
    "a name that the API refuses": (plain("ConfigMap", "A_b"), 1, "A_b"),
    "a namespace that is not there": (model("x", "absent"), 3, 'namespaces "absent" not found'),
    "a mistake that Bailie finds": (model("x", replicas="3"), 2, "spec.replicas"),
}


@pytest.mark.parametrize("place", [0, 4])
@pytest.mark.parametrize(("manifest", "code", "says"), WRONG.values(), ids=WRONG.keys())
def test_nothing_is_written_where_one_object_is_wrong(api, audit, apply, manifest, code, says, place):
    good = [model(f"good-{number}") for number in range(4)]
    before = audit.writes()
    result = apply(*good[:place], manifest, *good[place:])
    assert result.exit_code == code, result.output
    assert says in result.stderr
    assert "standard input, line " in result.stderr
    assert ("nothing was applied" in result.stderr) or ("nothing was sent" in result.stderr)
    assert result.stdout == ""
    assert audit.writes() == before
    assert names(api) == []


def test_every_refusal_is_told_at_once_and_those_alike_as_one(apply):
    wrong = [plain("Secret", "s", stringdata={}), *(model(f"m{number}", "absent") for number in range(5))]
    result = apply(model("good"), *wrong)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "secret/s: " in lines[0]
    assert lines[1].endswith('model/m0: namespaces "absent" not found (so of 4 more objects)')
    assert lines[2].startswith("hint: ")


def test_two_hundred_objects_go_round(api, apply):
    many = [model(f"m-{number:03}") for number in range(200)]
    result = apply(*many)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"model/m-{number:03} applied" for number in range(200)]
    assert len(names(api)) == 200
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": many})
    delete = ["delete", "-f", "-", "--kubeconfig", str(api.kubeconfig)]
    assert RUNNER.invoke(app, delete, input=text).exit_code == 0
    assert names(api) == []


def test_of_an_object_that_is_there_twice_the_last_one_counts(api, apply):
    result = apply(model("twice"), model("twice", "default", storageUri="/other"))
    assert result.exit_code == 0
    assert "warning: model/twice is in the files 2 times: the last one counts" in result.stderr
    path = "/apis/mlops.seldon.io/v1alpha1/namespaces/default/models/twice"
    assert api.request("GET", path)["spec"]["storageUri"] == "/other"
    api.request("DELETE", path)


def test_what_others_need_is_written_first(api, apply):
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "models.mlops.seldon.io"},
    }
    present = api.request(
        "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/models.mlops.seldon.io"
    )
    result = apply(
        model("early", "made-here"), plain("Namespace", "made-here"), {**definition, "spec": present["spec"]}
    )
    assert result.exit_code == 0, result.output
    assert [line.partition("/")[0] for line in result.stdout.splitlines()] == [
        "namespace",
        "customresourcedefinition",
        "model",
    ]
    assert names(api) == ["early"]
    result = apply(model("other", "made-here", unheard="of"), plain("Namespace", "made-here"))
    assert result.exit_code == 2
    api.request("DELETE", "/apis/mlops.seldon.io/v1alpha1/namespaces/made-here/models/early")


def test_without_the_right_for_one_object_none_is_written(api, tmp_path):
    poor = api.kubeconfig_for(api.token("poor"), tmp_path / "poor")
    text = yaml.safe_dump_all([model("a"), model("b")])
    result = RUNNER.invoke(app, ["apply", "-f", "-", "--kubeconfig", str(poor)], input=text)
    assert result.exit_code == 1
    assert "forbidden" in result.stderr
    assert "ask for the right, or use a kubeconfig that has it; nothing was applied" in result.stderr


def test_the_commands_of_seldon_do_the_same(api, audit, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BAILIE_STATE_DIR", raising=False)
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump_all([model("a"), model("b", "absent")]))
    before = audit.writes()
    result = RUNNER.invoke(seldon, ["model", "load", "-f", str(path)])
    assert result.exit_code == 3, result.output
    assert "nothing was applied" in result.stderr
    assert audit.writes() == before


def test_objects_of_an_unknown_kind_delete_nothing(api, apply):
    apply(model("kept"))
    text = yaml.safe_dump_all([model("kept"), {**model("x"), "kind": "Modle"}])
    delete = ["delete", "-f", "-", "--kubeconfig", str(api.kubeconfig)]
    result = RUNNER.invoke(app, delete, input=text)
    assert result.exit_code == 2
    assert names(api) == ["kept"]
    assert RUNNER.invoke(app, ["delete", "model", "kept", "-f", "x", *delete[3:]]).exit_code == 2
    api.request("DELETE", "/apis/mlops.seldon.io/v1alpha1/namespaces/default/models/kept")


def test_a_kind_that_the_api_server_does_not_have_is_named(apply):
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "iris"}}
    result = apply({**scaled, "spec": {}})
    assert result.exit_code == 3
    assert "the API server has no kind ScaledObject in keda.sh/v1alpha1: apply its CustomRes" in result.stderr
    assert "hint: nothing was applied" in result.stderr


def test_the_warnings_of_the_api_server_are_told_once(tmp_path):
    """As kubectl does: on a laptop they say that nothing acts on an object."""

    def notices(key, _):
        return ['nothing here makes "x", \\ or else'] if key == "/configmaps" else []

    text = yaml.safe_dump_all([plain("ConfigMap", "c"), plain("Secret", "s")])
    with running_api(tmp_path, notices=notices) as running:
        result = RUNNER.invoke(app, ["apply", "-f", "-", "--kubeconfig", str(running.kubeconfig)], input=text)
    assert (result.exit_code, result.stdout) == (0, "configmap/c applied\nsecret/s applied\n")
    assert result.stderr == 'warning: configmap/c: nothing here makes "x", \\ or else\n'
