"""Commands on resources, against the embedded API."""

import json

import pytest
import yaml
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.manifests import manifest_of

from bailie.cli.app import app
from bailie.kube.clock import utc_now

RUNNER = CommandRunner()
GROUP = "rbac.authorization.k8s.io"
RULE = {
    "apiGroups": ["mlops.seldon.io"],
    "resources": ["models"],
    "resourceNames": ["a"],
    "verbs": ["delete"],
}


def post(api, path, manifest):
    with api.http() as http:
        http.post(path, json=manifest).raise_for_status()


@pytest.fixture
def kubeconfig(tmp_path):
    """Of somebody who may delete Model a and no other; both are there."""
    with running_api(tmp_path) as api:
        for name in ("a", "b"):
            manifest = manifest_of("Model", name, {"storageUri": "/models/iris"}, "default")
            del manifest["metadata"]["uid"]
            post(api, "/apis/mlops.seldon.io/v1alpha1/namespaces/default/models", manifest)
        here = f"/apis/{GROUP}/v1/namespaces/default"
        post(api, f"{here}/roles", {"metadata": {"name": "narrow"}, "rules": [RULE]})
        subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": "default"}
        role = {"apiGroup": GROUP, "kind": "Role", "name": "narrow"}
        binding = {"metadata": {"name": "narrow"}, "subjects": [subject], "roleRef": role}
        post(api, f"{here}/rolebindings", binding)
        yield str(api.kubeconfig_for(api.service_account_token("default", "narrow"), tmp_path / "narrow"))


def test_what_was_deleted_is_told_though_the_next_is_refused(kubeconfig):
    result = RUNNER.invoke(app, ["delete", "model", "a", "b", "--kubeconfig", kubeconfig])
    assert result.exit_code == 1
    assert result.stdout == "model/a deleted\n"
    assert "b" in result.stderr


def test_the_same_as_json(kubeconfig):
    result = RUNNER.invoke(app, ["delete", "model", "a", "b", "-o", "json", "--kubeconfig", kubeconfig])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"deleted": ["model/a"]}


@pytest.fixture(scope="module")
def everybody(tmp_path_factory):
    """The administrator's kubeconfig of an API."""
    with running_api(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def bailie(everybody):
    """Runs a command as the administrator."""

    def run(*arguments, stdin=None):
        options = ("--kubeconfig", str(everybody.kubeconfig))
        return RUNNER.invoke(app, [*map(str, arguments), *options], input=stdin)

    return run


@pytest.fixture
def file(tmp_path):
    """Writes manifests of Models to a file."""

    def write(*names, **spec):
        path = tmp_path / "models.yaml"
        manifests = [manifest_of("Model", name, {"storageUri": "/m", **spec}, "default") for name in names]
        for manifest in manifests:
            del manifest["metadata"]["uid"]
        path.write_text(yaml.safe_dump_all(manifests))
        return path

    return write


def test_apply_get_and_delete_go_round(bailie, file):
    path = file("a", "b")
    assert bailie("apply", "-f", path).stdout == "model/a applied\nmodel/b applied\n"
    assert [
        each["metadata"]["name"] for each in json.loads(bailie("get", "models", "-o", "json").stdout)
    ] == [
        "a",
        "b",
    ]
    assert yaml.safe_load(bailie("get", "mlm", "a", "-o", "yaml").stdout)["spec"]["storageUri"] == "/m"
    table = bailie("get", "models", "-A").stdout.splitlines()
    assert table[0].split() == ["NAMESPACE", "NAME", "READY", "REASON", "MESSAGE", "CREATED"]
    assert [line.split()[:2] for line in table[1:]] == [["default", "a"], ["default", "b"]]
    assert bailie("delete", "-f", path).stdout == "model/a deleted\nmodel/b deleted\n"
    assert bailie("get", "models").stderr == "no models found in namespace default\n"
    assert bailie("get", "models", "-A").stderr == "no models found\n"


def test_what_was_read_from_a_cluster_can_be_applied_again(bailie, file):
    applied = bailie("apply", "-f", file("kept"))
    assert applied.exit_code == 0, applied.stderr
    read = bailie("get", "model", "kept", "-o", "yaml")
    assert "resourceVersion" in read.stdout, read.stderr
    deleted = bailie("delete", "model", "kept")
    assert deleted.exit_code == 0, deleted.stderr
    restored = bailie("apply", "-f", "-", "-o", "json", stdin=read.stdout)
    assert restored.exit_code == 0, restored.stderr
    assert restored.stdout.startswith("["), "nothing but the objects is on standard output"
    assert json.loads(restored.stdout)[0]["spec"]["storageUri"] == "/m"
    bailie("delete", "model", "kept")


def test_nothing_is_applied_where_one_object_is_wrong(bailie, file):
    good, wrong = file("good").read_text(), file("wrong", replicas="3").read_text()
    result = bailie("apply", "-f", "-", stdin=f"{good}\n---\n{wrong}")
    assert result.exit_code == 2
    assert "error: standard input, line 10: model/wrong: spec.replicas" in result.stderr
    assert bailie("get", "model", "good").exit_code == 3


def test_of_a_namespace_that_is_not_there_the_way_to_it_is_told(bailie, file):
    path = file("a")
    path.write_text(path.read_text().replace("namespace: default", "namespace: absent"))
    result = bailie("apply", "-f", path)
    assert result.exit_code == 3
    assert 'namespaces "absent" not found' in result.stderr
    assert "hint: `bailie scope add absent` on a laptop" in result.stderr


def test_a_field_that_the_api_does_not_know_is_refused(bailie):
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringdata: {a: b}"
    result = bailie("apply", "-f", "-", stdin=secret)
    assert result.exit_code == 1
    assert ".stringdata: field not declared in schema" in result.stderr
    assert bailie("get", "secret", "s").exit_code == 3


def test_waiting_says_what_keeps_it_from_being_ready(bailie, file, everybody):
    path = file("slow")
    result = bailie("apply", "-f", path, "--wait", "--timeout", "0.2")
    assert result.exit_code == 4
    assert "model/slow is not ready after 0.2 s: its controller has not reported on it yet" in result.stderr
    assert "bailie explain model slow -n default" in result.stderr

    status = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": "False", "message": "full"}],
    }
    set_status(everybody, "slow", status)
    assert "0.2 s: full" in bailie("apply", "-f", path, "--wait", "--timeout", "0.2").stderr

    set_status(everybody, "slow", {**status, "conditions": [{"type": "Ready", "status": "True"}]})
    result = bailie("apply", "-f", path, "--wait", "--timeout", "30")
    assert (result.exit_code, result.stdout) == (0, "model/slow applied\n")
    bailie("delete", "model", "slow")


@pytest.mark.parametrize(
    ("kind", "spec", "command"),
    [
        ("Pipeline", {"steps": [{"name": "iris"}]}, "bailie explain pipeline slow -n default"),
        ("Server", {"serverConfig": "mlserver"}, "bailie explain server slow -n default"),
        ("SeldonRuntime", {"seldonConfig": "default"}, "bailie doctor -n default"),
    ],
)
def test_what_is_waited_for_in_vain_has_a_command_that_says_more(bailie, tmp_path, kind, spec, command):
    manifest = manifest_of(kind, "slow", spec, "default")
    del manifest["metadata"]["uid"]
    path = tmp_path / "slow.yaml"
    path.write_text(yaml.safe_dump(manifest))
    assert f"hint: {command}\n" in bailie("apply", "-f", path, "--wait", "--timeout", "0").stderr
    bailie("delete", "-f", path)


def claim(api, *, renewed):
    """Has an operator claim the namespace `default`, or lets it go."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    metadata = {"name": "bailie-operator-claim", "namespace": "default"}
    spec = {"holderIdentity": "home/one", "leaseDurationSeconds": 15, "renewTime": renewed}
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    post(api, path, {**lease, "metadata": metadata, "spec": spec})


def test_what_nobody_acts_on_is_said(bailie, file, everybody):
    path = file("a", "b", "c", "d")
    result = bailie("apply", "-f", path)
    assert result.exit_code == 0
    assert "no operator serves namespace default" in result.stderr
    assert "nothing acts on model/a, model/b, model/c, … there" in result.stderr
    assert "bailie scope add default" in result.stderr
    runtime = yaml.safe_dump(manifest_of("SeldonRuntime", "seldon", {"seldonConfig": "default"}, "default"))
    result = bailie("apply", "-f", "-", stdin=f"{path.read_text()}\n---\n{runtime}")
    assert (result.exit_code, result.stderr) == (0, "")
    bailie("delete", "seldonruntime", "seldon")
    claim(everybody, renewed=utc_now().isoformat())
    assert bailie("apply", "-f", path).stderr == ""
    everybody.request(
        "DELETE", "/apis/coordination.k8s.io/v1/namespaces/default/leases/bailie-operator-claim"
    )
    bailie("delete", "-f", path)


def test_of_a_namespace_that_seldon_core_serves_nothing_is_said(bailie, file, everybody):
    sets = "/apis/apps/v1/namespaces/default/statefulsets"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    post(everybody, sets, {"metadata": {"name": "seldon-scheduler"}, "spec": spec})
    path = file("a")
    assert bailie("apply", "-f", path).stderr == ""
    everybody.request("DELETE", f"{sets}/seldon-scheduler")
    bailie("delete", "-f", path)


def test_a_status_of_the_spec_before_is_not_taken_for_a_reason(bailie, file, everybody):
    path = file("changed")
    bailie("apply", "-f", path)
    ready = {"type": "Ready", "status": "True", "reason": "Ready"}
    set_status(everybody, "changed", {"observedGeneration": 0, "conditions": [ready]})
    result = bailie("apply", "-f", path, "--wait", "--timeout", "0.2")
    assert result.exit_code == 4
    assert "model/changed is not ready after 0.2 s: its controller has not reported on this change yet" in (
        result.stderr
    )


def test_a_version_that_fails_is_told_while_the_one_before_answers(bailie, file, everybody):
    """`Ready` speaks of the version that answers, `RolledOut` of the newest."""
    path = file("older")
    bailie("apply", "-f", path)
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": 0}
    failed = {"type": "RolledOut", "status": "False", "reason": "NoModelFile", "message": "no such file"}
    conditions = [ready, {**failed, "observedGeneration": 1}]
    set_status(everybody, "older", {"observedGeneration": 0, "conditions": conditions})
    result = bailie("apply", "-f", path, "--wait", "--timeout", "0.2")
    assert "error: model/older is not ready after 0.2 s: no such file" in result.stderr
    bailie("delete", "-f", path)


def test_what_is_not_there_and_what_is_no_kind_is_said_with_the_way_on(bailie):
    absent = bailie("get", "model", "irsi")
    assert absent.exit_code == 3
    assert "hint: `bailie get models` lists those that are there; -n names another" in absent.stderr
    assert "hint: did you mean models?" in bailie("get", "modles").stderr
    assert "hint: known are " in bailie("get", "flowers").stderr


def test_objects_are_shown_without_the_books_about_their_fields(bailie, file):
    path = file("plain")
    bailie("apply", "-f", path)
    for arguments in (("model", "plain"), ("models",)):
        assert "managedFields" not in bailie("get", *arguments, "-o", "yaml").stdout
    bailie("delete", "-f", path)


def test_of_a_pod_with_several_containers_the_first_ones_log_is_shown(bailie):
    containers = "[{name: agent, image: i}, {name: mlserver, image: i}]"
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: two}}\nspec: {{containers: {containers}}}"
    assert bailie("apply", "-f", "-", stdin=pod).exit_code == 0
    result = bailie("logs", "two")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "container agent of agent, mlserver; -c names another one\n"
    assert bailie("logs", "two", "-c", "mlserver").stderr == ""
    assert bailie("logs", "two", "-c", "other").exit_code == 1


def test_each_object_that_is_not_ready_is_named_and_the_others_are_told(bailie, file, everybody):
    path = file("one", "two", "three")
    bailie("apply", "-f", path)
    set_status(
        everybody, "two", {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
    )
    result = bailie("apply", "-f", path, "--wait", "--timeout", "0.5")
    assert result.exit_code == 4
    assert "waiting for model/one: its controller has not reported on it yet (and 1 more)" in result.stderr
    failed = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert ("model/one is not ready" in failed, "model/three" in failed, "model/two" in failed) == (
        True,
        True,
        False,
    )
    quiet = bailie("apply", "-f", path, "--wait", "--timeout", "0.5", "-o", "json")
    assert "waiting" not in quiet.stderr
    bailie("delete", "-f", path)


def set_status(api, name, status):
    headers = {"content-type": "application/merge-patch+json"}
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/default/models/{name}/status"
    api.request("PATCH", path, json={"status": status}, headers=headers)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("get", "model", "absent"), 3, "absent"),
        (("delete", "model", "absent"), 3, "absent"),
        (("get", "frobnicate"), 2, "is not a kind that Bailie uses"),
        (("get", "model", "../x"), 2, "cannot be a name"),
        (("delete", "model"), 2, "name a kind and at least one object"),
        (("delete",), 2, "or a file with -f"),
        (("delete", "model/iris", "flower"), 2, "is not a kind that Bailie uses"),
        (("get",), 2, "hint: `bailie get models`, or `bailie get model NAME`"),
        (("get", "model/absent"), 3, "absent"),
        (("get", "absent.pipeline"), 3, 'pipelines.mlops.seldon.io "absent" not found'),
        (("delete", "absent.experiment"), 3, 'experiments.mlops.seldon.io "absent" not found'),
        (("get", "model/a/b"), 2, "cannot be a name"),
    ],
)
def test_what_cannot_be_done_is_said(bailie, arguments, code, message):
    result = bailie(*arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())


ABSENT = {
    "model": ("nope", "error: model nope does not exist in namespace default"),
    "pipeline": ("nope", "error: pipeline nope does not exist in namespace default"),
    "experiment": ("nope", "error: experiment nope does not exist in namespace default"),
    "server": ("nope", "`bailie get server -n default` lists those that exist"),
    "models": ("choice.pipeline", "hint: `bailie explain pipeline choice -n default`"),
    "pipelines": ("choice.pipeline", "by this name callers ask for pipeline choice"),
    "mlx": ("flower.experiment", "by this name callers ask for experiment flower"),
    "model/nope": ("", "error: model nope does not exist in namespace default"),
    "choice.pipeline": ("", "error: pipeline choice does not exist in namespace default"),
    "flower.experiment": ("", "error: experiment flower does not exist in namespace default"),
}


def test_to_explain_what_is_not_there_names_it_by_its_kind(bailie):
    for kind, (name, words) in ABSENT.items():
        result = bailie("explain", kind, *([name] if name else []))
        assert (result.exit_code, words in result.stderr) == (3, True), result.stderr
        assert "model choice" not in result.stderr


def test_a_kubeconfig_of_another_server_is_said_to_be_one(everybody, tmp_path):
    """It is not the server that does not run."""
    with running_api(tmp_path / "other") as other:
        path = tmp_path / "mixed.kubeconfig"
        path.write_text(other.kubeconfig.read_text().replace(other.url, everybody.url))
    result = RUNNER.invoke(app, ["get", "models", "--kubeconfig", str(path)])
    assert result.exit_code == 1
    assert "hint: the kubeconfig is of another server, or out of date" in result.stderr
