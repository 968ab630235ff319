"""From Pod manifests to processes: programs, mounts, ports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bailie.workloads.node.environment import ConfigError, Sources
from bailie.workloads.node.pods import HostPort, PodContext, process, program_name, substitute
from bailie.workloads.node.settings import Program

BAILIE = Program("Bailie", ("/usr/bin/python", "-m", "bailie"))
MLSERVER = Program("MLServer", ("/env/bin/mlserver", "start", "$(MLSERVER_MODELS_DIR)"), "run `make setup`")
CONTEXT = PodContext(
    sources=Sources(ip="127.70.0.1"),
    programs={"bailie": BAILIE, "mlserver": MLSERVER},
    volumes={"models": "/state/claims/a/models", "run": "/state/pods/u/volumes/run"},
    base={"PATH": "/bin", "KUBECONFIG": "/state/pods/u/kubeconfig"},
    directory="/state/pods/u",
)
MOUNTS = [
    {"name": "models", "mountPath": "/mnt/agent"},
    {"name": "run", "mountPath": "/mnt/agent/run/", "subPath": "x"},
]


def made(**container):
    full = {"name": "c", "image": "docker.io/bailie:1", **container}
    return process({"metadata": {"name": "p", "namespace": "a", "uid": "u"}, "spec": {}}, full, CONTEXT)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("bailie", "bailie"),
        ("bailie:1.2", "bailie"),
        ("ghcr.io:5000/x/bailie-mlserver:1.2", "bailie-mlserver"),
        ("seldonio/mlserver@sha256:abc", "mlserver"),
    ],
)
def test_program_of_an_image(image, expected):
    assert program_name(image) == expected


def test_args_follow_the_program_of_the_image():
    assert made(args=["scheduler"]).argv == ("/usr/bin/python", "-m", "bailie", "scheduler")


def test_a_command_replaces_the_program():
    spec = made(command=["sh", "-c"], args=["echo $(X)"], env=[{"name": "X", "value": "1"}])
    assert spec.argv == ("sh", "-c", "echo 1")
    assert spec.program is None


def test_mounts_are_realised_in_arguments_and_environment():
    spec = made(
        image="mlserver",
        volumeMounts=MOUNTS,
        workingDir="/mnt/agent",
        args=["/mnt/agent/run/sock", "/mnt/agents", "see /mnt/agent"],
        env=[{"name": "MLSERVER_MODELS_DIR", "value": "/mnt/agent/models"}],
    )
    assert spec.argv == (
        "/env/bin/mlserver",
        "start",
        "/state/claims/a/models/models",
        "/state/pods/u/volumes/run/x/sock",
        "/mnt/agents",
        "see /mnt/agent",
    )
    assert spec.env["MLSERVER_MODELS_DIR"] == "/state/claims/a/models/models"
    assert spec.cwd == "/state/claims/a/models"


def test_what_is_a_path_of_this_machine_already_is_not_looked_up_again():
    """As where the state is below a folder that a container mounts, such as /tmp."""
    spec = made(
        image="mlserver",
        volumeMounts=[{"name": "models", "mountPath": "/mnt/agent"}, {"name": "run", "mountPath": "/state"}],
        args=["$(MLSERVER_MODELS_DIR)", "/state/$(NAME)"],
        env=[{"name": "MLSERVER_MODELS_DIR", "value": "/mnt/agent"}, {"name": "NAME", "value": "n"}],
    )
    models, own = "/state/claims/a/models", "/state/pods/u/volumes/run/n"
    assert spec.argv == ("/env/bin/mlserver", "start", models, models, own)
    assert spec.cwd == "/state/pods/u/work/c"


def test_what_the_node_adds():
    spec = made()
    assert spec.cwd == "/state/pods/u/work/c"
    assert spec.env == {
        "PATH": "/bin",
        "KUBECONFIG": "/state/pods/u/kubeconfig",
        "BAILIE_NODE_CONTAINER": "u/c",
    }


def test_no_manifest_sets_what_the_node_knows_its_processes_by():
    """Or a pod's processes would end with another's, or stay when all end."""
    theirs = [{"name": name, "value": "v/d"} for name in ("BAILIE_NODE_STATE", "BAILIE_NODE_CONTAINER")]
    full = {"name": "c", "image": "bailie", "env": theirs}
    context = replace(CONTEXT, base={**CONTEXT.base, "BAILIE_NODE_STATE": "/state"})
    spec = process({"metadata": {"name": "p", "namespace": "a", "uid": "u"}, "spec": {}}, full, context)
    assert (spec.env["BAILIE_NODE_STATE"], spec.env["BAILIE_NODE_CONTAINER"]) == ("/state", "u/c")


def test_host_ports():
    spec = made(
        ports=[
            {"name": "http", "containerPort": 9000, "hostPort": 31000, "hostIP": "127.0.0.1"},
            {"containerPort": 9003, "hostPort": 31001},
            {"containerPort": 9004},
        ]
    )
    assert spec.host_ports == (HostPort("http", "127.0.0.1", 31000), HostPort("31001", "127.0.0.1", 31001))
    assert spec.env["BAILIE_HOST_PORTS"] == "http=127.0.0.1:31000,31001=127.0.0.1:31001"


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        (
            {"image": "tritonserver:1"},
            (
                "image tritonserver:1 stands for no local program (known: bailie, mlserver); "
                "give the container a command"
            ),
        ),
        (
            {"volumeMounts": [{"name": "x", "mountPath": "/x"}]},
            "volume x of container c is not declared",
        ),
    ],
)
def test_what_cannot_run_is_said(container, sentence):
    assert made(**container) == ConfigError(sentence)


def test_substitution_takes_the_longest_mount():
    assert substitute("/a/b/c", (("/a/b", "/long"), ("/a", "/short"))) == "/long/c"


def test_a_part_of_a_volume_may_be_named_by_a_variable():
    mount = {"name": "run", "mountPath": "/m", "subPathExpr": "of-$(X)/logs"}
    env = [{"name": "X", "value": "me"}]
    spec = made(command=["cat"], args=["/m/a"], volumeMounts=[mount], env=env)
    assert spec.argv == ("cat", "/state/pods/u/volumes/run/of-me/logs/a")


@pytest.mark.parametrize("value", ["../x", "/etc", "a/../../b", "x\0"])
def test_a_variable_does_not_lead_out_of_the_volume(value):
    mount = {"name": "run", "mountPath": "/m", "subPathExpr": "$(X)"}
    spec = made(command=["cat"], volumeMounts=[mount], env=[{"name": "X", "value": value}])
    assert spec == ConfigError(f"the part {value!r} of volume run is not in the volume")


def test_a_dollar_in_the_name_of_a_part_is_no_variable():
    mount = {"name": "run", "mountPath": "/m", "subPath": "$(X)"}
    spec = made(command=["cat"], args=["/m/a"], volumeMounts=[mount], env=[{"name": "X", "value": "../x"}])
    assert spec.argv == ("cat", "/state/pods/u/volumes/run/$(X)/a")


BOUND = Program("MLServer", ("/env/bin/mlserver",), needs=("MLSERVER_MODELS_DIR",), address="MLSERVER_HOST")
MODELS = {"name": "MLSERVER_MODELS_DIR", "value": "/m"}


def bound(*env):
    container = {"name": "c", "image": "acme/mlserver:2", "env": list(env)}
    context = replace(CONTEXT, programs={"mlserver": BOUND})
    return process({"metadata": {"name": "p", "namespace": "a", "uid": "u"}, "spec": {}}, container, context)


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::", "$(POD_IP)"])
def test_a_stand_in_listens_at_the_address_of_its_pod_alone(host):
    given = [] if host is None else [{"name": "MLSERVER_HOST", "value": host}]
    assert bound(MODELS, *given).env["MLSERVER_HOST"] == "127.70.0.1"


def test_a_stand_in_without_the_settings_of_its_pod_is_not_started():
    refused = bound()
    assert isinstance(refused, ConfigError)
    assert "acme/mlserver:2 stands for MLServer here, which needs the variable MLSERVER_MODELS_DIR" in (
        refused.message
    )
    assert "container c does not set it" in refused.message
