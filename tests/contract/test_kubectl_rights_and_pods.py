"""kubectl, unmodified: rights, and the pods that stand for local processes."""

from __future__ import annotations

import pytest
from tests.support.cluster import MERGE, Kubectl
from tests.support.waiting import until_blocking as eventually


@pytest.fixture
def scoped(kubectl, cluster, tmp_path):
    """kubectl as a ServiceAccount that may get and list models of its namespace."""
    kubectl("create", "serviceaccount", "viewer")
    kubectl("create", "role", "viewer", "--verb=get,list", "--resource=models.mlops.seldon.io")
    kubectl(
        "create", "rolebinding", "viewer", "--role=viewer", f"--serviceaccount={kubectl.namespace}:viewer"
    )
    token = kubectl("create", "token", "viewer").strip()
    path = cluster.kubeconfig_for(token, tmp_path / "viewer.kubeconfig")
    viewer = Kubectl(kubectl.binary, path, kubectl.namespace, kubectl.home)
    eventually(lambda: viewer.run("get", "models").code == 0, what="the grant")
    return viewer


def test_can_i(scoped, new_namespace):
    assert scoped("auth", "can-i", "list", "models").strip() == "yes"
    assert scoped.run("auth", "can-i", "delete", "models").out.strip() == "no"
    other = new_namespace()
    assert scoped.run("auth", "can-i", "list", "models", "-n", other).out.strip() == "no"
    assert scoped.run("auth", "can-i", "list", "models", "-A").out.strip() == "no"


def test_can_i_list(scoped, new_namespace):
    mine = scoped("auth", "can-i", "--list")
    assert any(
        line.split()[:1] == ["models.mlops.seldon.io"] and "[get list]" in line for line in mine.splitlines()
    )
    elsewhere = scoped("auth", "can-i", "--list", "-n", new_namespace())
    assert "models.mlops.seldon.io" not in elsewhere


def test_refusals(scoped):
    user = f"system:serviceaccount:{scoped.namespace}:viewer"
    assert scoped.fails("get", "models", "-A").strip() == (
        f'Error from server (Forbidden): models.mlops.seldon.io is forbidden: User "{user}" '
        'cannot list resource "models" in API group "mlops.seldon.io" at the cluster scope'
    )
    assert "cannot delete resource" in scoped.fails("delete", "model", "iris")
    assert "cannot list resource" in scoped.fails("get", "secrets")


def test_who_am_i(scoped):
    assert f"system:serviceaccount:{scoped.namespace}:viewer" in scoped("auth", "whoami")


def test_can_somebody_else(kubectl, scoped):
    """Impersonation, which administrators use to check what others may do."""
    user = f"--as=system:serviceaccount:{kubectl.namespace}:viewer"
    assert kubectl("auth", "can-i", "list", "models", user).strip() == "yes"
    assert kubectl.run("auth", "can-i", "delete", "models", user).out.strip() == "no"
    assert "cannot list resource" in kubectl.fails("get", "pods", user)
    assert "cannot impersonate" in scoped.fails("get", "models", "--as=admin")


# --- pods ---------------------------------------------------------------------------------------------------

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"app": "p"}},
    "spec": {
        "containers": [
            {"name": "main", "image": "bailie", "args": ["version"]},
            {"name": "side", "image": "bailie", "args": ["version"]},
        ]
    },
}


@pytest.fixture
def pod(embedded_only, cluster, kubectl):
    """A running pod without a node behind it: its status and logs are written by the test."""
    kubectl("create", "-f", "-", stdin=POD)
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/p"
    running = {"name": "main", "ready": True, "restartCount": 2, "state": {"running": {}}}
    waiting = {
        "name": "side",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }
    status = {"phase": "Running", "podIP": "127.0.0.9", "containerStatuses": [running, waiting]}
    assert cluster.http.patch(f"{path}/status", json={"status": status}, headers=MERGE).status_code == 200
    logs = cluster.log_dir / kubectl.namespace / "p"
    logs.mkdir(parents=True)
    (logs / "main.log").write_text("one\ntwo\nthree\n")
    (logs / "side.log").write_text("other\n")
    return logs


def test_pod_columns(pod, kubectl):
    head, line = kubectl("get", "pods", "-o", "wide").splitlines()
    assert head.split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert line.split()[:4] == ["p", "1/2", "CrashLoopBackOff", "2"]
    assert "127.0.0.9" in line
    assert "p" in kubectl("get", "pods", "--field-selector", "status.phase=Running", "-o", "name")
    assert kubectl("get", "pods", "--field-selector", "status.phase=Failed", "-o", "name") == ""


def test_pod_description(pod, kubectl):
    text = kubectl("describe", "pod", "p")
    assert "Restart Count:  2" in text
    assert "CrashLoopBackOff" in text


def test_logs(pod, kubectl):
    assert kubectl("logs", "p", "-c", "main") == "one\ntwo\nthree\n"
    assert kubectl("logs", "p", "-c", "side") == "other\n"
    assert kubectl("logs", "p", "-c", "main", "--tail=1") == "three\n"
    assert kubectl("logs", "-l", "app=p", "-c", "main") == "one\ntwo\nthree\n"
    assert "container" in kubectl.fails("logs", "p", "-c", "nope")
    assert "not found" in kubectl.fails("logs", "nope")


def test_logs_of_all_containers(pod, kubectl):
    out = kubectl("logs", "p", "--all-containers")
    assert "three\n" in out
    assert "other\n" in out


def test_following_logs(pod, kubectl):
    with kubectl.streaming("logs", "p", "-c", "main", "-f") as process:
        assert [process.stdout.readline() for _ in range(3)] == ["one\n", "two\n", "three\n"]
        with (pod / "main.log").open("a") as log:
            log.write("four\n")
        assert process.stdout.readline() == "four\n"


def test_delete_of_a_pod_without_a_node(pod, kubectl):
    kubectl("delete", "pod", "p", "--timeout=30s")
    assert kubectl.run("get", "pod", "p").code != 0


def test_run(embedded_only, kubectl):
    assert kubectl("run", "q", "--image=bailie", "--", "version") == "pod/q created\n"
    (line,) = kubectl("get", "pods", "--no-headers").splitlines()
    assert line.split()[:3] == ["q", "0/1", "Pending"]
