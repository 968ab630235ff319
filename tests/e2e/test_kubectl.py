"""The kubectl of tutorials on a laptop: each command ends as on a cluster, or says what to do instead."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import STAGING, SYSTEM, kubectl_program, processes_of, until
from tests.support import plain_http

pytestmark = pytest.mark.e2e
ADDRESS = "{.status.loadBalancer.ingress[0].ip}"
LISTENS = "0A"


@contextlib.contextmanager
def forwarded(stack, *arguments):
    """The local port of a running `kubectl port-forward`."""
    command = [kubectl_program(), "--kubeconfig", stack.state / "kubeconfig", "port-forward", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())[1])
        finally:
            process.terminate()


def test_a_quickstart(stack, models, model, tmp_path):
    """Apply, wait, ask through the Service, look into the pods, restart them, ask again."""
    model("quick", STAGING)
    there = ("-n", STAGING)
    stack.kubectl("wait", "--for", "condition=ready", "--timeout=60s", "model", "--all", *there)
    assert stack.kubectl("get", "svc", "seldon-mesh", "-o", f"jsonpath={ADDRESS}", *there) == "127.0.0.1"
    port = stack.kubectl("get", "svc", "seldon-mesh", "-o", "jsonpath={.spec.ports[0].nodePort}", *there)
    expectation = models.expected["iris"]
    asked = stack.infer(expectation, model="quick", url=f"http://127.0.0.1:{port}")
    assert asked.json()["outputs"][0]["data"] == pytest.approx(expectation.outputs)
    with forwarded(stack, "svc/seldon-mesh", ":80", *there) as local:
        again = stack.infer(expectation, model="quick", url=f"http://127.0.0.1:{local}")
    assert again.json()["outputs"] == asked.json()["outputs"]

    listed = stack.kubectl("get", "statefulsets,deployments", "-o", "name", *there).split()
    assert sorted(listed) == [
        "deployment.apps/seldon-envoy",
        "deployment.apps/seldon-scheduler",
        "statefulset.apps/mlserver",
    ]
    variables = stack.kubectl("exec", "mlserver-0", "-c", "agent", *there, "--", "env").splitlines()
    assert f"POD_NAMESPACE={STAGING}" in variables
    request = tmp_path / "request.json"
    request.write_text(json.dumps(expectation.request()))
    stack.kubectl("cp", str(request), "mlserver-0:x", "-c", "agent", *there)
    assert stack.kubectl("exec", "mlserver-0", "-c", "agent", *there, "--", "cat", "x") == request.read_text()

    before = stack.get("pod", "mlserver-0", STAGING)["metadata"]["uid"]
    stack.kubectl("rollout", "restart", "statefulset/mlserver", *there)
    stack.kubectl("rollout", "status", "statefulset/mlserver", "--timeout=80s", *there)
    stack.kubectl("rollout", "status", "deployment/seldon-envoy", "--timeout=10s", *there)
    assert stack.get("pod", "mlserver-0", STAGING)["metadata"]["uid"] != before
    stack.kubectl("wait", "--for", "condition=ready", "--timeout=60s", "server", "mlserver", *there)
    until(
        lambda: stack.infer(expectation, model="quick", namespace=STAGING).status_code == 200,
        what="an answer",
    )


def test_edit_replace_diff_and_kustomize(stack, model, tmp_path):
    manifest = model("edited", requirements=["sklearn"])
    there = ("-n", SYSTEM)
    labelled = {**manifest, "metadata": {**manifest["metadata"], "labels": {"colour": "green"}}}
    different = stack.kubectl("diff", "-f", "-", stdin=json.dumps(labelled), check=False)
    assert different.returncode == 1
    assert "+    colour: green" in different.stdout
    stack.kubectl("replace", "-f", "-", stdin=json.dumps(labelled))
    assert stack.get("model", "edited")["metadata"]["labels"] == {"colour": "green"}
    command = [kubectl_program(), "--kubeconfig", stack.state / "kubeconfig", "edit", "model", "edited"]
    editor = ["env", "KUBE_EDITOR=sed -i s/green/blue/"]
    subprocess.run([*editor, *command, *there], check=True, timeout=60)
    assert stack.get("model", "edited")["metadata"]["labels"] == {"colour": "blue"}
    (tmp_path / "model.json").write_text(json.dumps(labelled))
    (tmp_path / "kustomization.yaml").write_text("resources: [model.json]\ncommonAnnotations: {a: b}\n")
    stack.kubectl("apply", "-k", str(tmp_path), "--server-side", "--force-conflicts")
    assert stack.get("model", "edited")["metadata"]["annotations"]["a"] == "b"


WITHOUT_EFFECT = {
    "autoscaling/v2 HorizontalPodAutoscaler": {
        "maxReplicas": 2,
        "scaleTargetRef": {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server", "name": "mlserver"},
    },
    "v1 PersistentVolumeClaim": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
    "apps/v1 Deployment": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        },
    },
}


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_what_nothing_acts_on_says_so(stack, kind):
    version, _, name = kind.partition(" ")
    metadata = {"name": "idle", "namespace": SYSTEM}
    manifest = {"apiVersion": version, "kind": name, "metadata": metadata, "spec": WITHOUT_EFFECT[kind]}
    made = stack.kubectl("create", "-f", "-", stdin=json.dumps(manifest), check=False)
    assert made.returncode == 0, made.stderr
    assert re.search(rf"Warning: .* here.* {name}", made.stderr)
    stack.kubectl("delete", name, "idle", "-n", SYSTEM)


def open_to_the_network(pids):
    """The command lines of processes that listen on all addresses of the machine, IPv4 or IPv6."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and not fields[1].partition(":")[0].strip("0"):
                sockets.add(f"socket:[{fields[9]}]")
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if sockets.intersection(opened(pid))]


def opened(pid):
    """What a process has open; nothing of a process, or a descriptor, that has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(descriptor.readlink())


def test_a_container_of_another_name(stack):
    """Its author means to replace the server's image."""
    container = {"name": "acme-mlserver", "image": "registry.example.com/acme/mlserver:v2"}
    manifest = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Server",
        "metadata": {"name": "acme-mlserver", "namespace": SYSTEM},
        "spec": {
            "serverConfig": "mlserver",
            "extraCapabilities": ["langchain"],
            "podSpec": {"containers": [container]},
        },
    }
    try:
        applied = stack.kubectl("apply", "-f", "-", stdin=json.dumps(manifest), check=False)
        assert "acme/mlserver:v2" in applied.stderr
        assert "is not run here: MLServer of this machine stands for it" in applied.stderr

        def condition(kind, status, words):
            found = stack.get("server", "acme-mlserver").get("status", {}).get("conditions", [])
            entry = next((each for each in found if each["type"] == kind), {})
            return entry.get("status") == status and words in entry["message"]

        text = 'has no container "acme-mlserver": it has agent, mlserver'
        until(lambda: condition("KnownContainers", "False", text), what="the condition")
        until(lambda: condition("Ready", "False", "needs the variable MLSERVER_MODELS_DIR"), what="a reason")
        until(
            lambda: stack.get("pod", "acme-mlserver-0")["status"]["containerStatuses"][0]["ready"],
            what="the other containers",
        )
        assert open_to_the_network(processes_of(stack.state)) == []
    finally:
        stack.kubectl("delete", "server", "acme-mlserver", "-n", SYSTEM, "--timeout=60s")


def test_nothing_else_listens_beyond_the_loopback_addresses(stack, model, models):
    model("inside")
    stack.wait_ready("inside")
    assert open_to_the_network(processes_of(stack.state)) == []
    assert plain_http.get(f"{stack.url()}/v2/models/inside").status_code == 200
