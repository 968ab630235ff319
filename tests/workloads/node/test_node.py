"""The node with a real API and real processes: what Pods become."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import yaml
from tests.support.node import NAMESPACE, container_status, is_ready, pid_of, pod_manifest, running_node
from tests.support.waiting import until

from bailie.api.kinds import POD, SERVICE
from bailie.kube.backoff import Backoff
from bailie.kube.client import Client
from bailie.kube.errors import Forbidden
from bailie.manifests.account import ACCOUNT_VOLUME
from bailie.workloads.node import proc
from bailie.workloads.node.node import STOP_ORDER
from bailie.workloads.node.settings import Program

HTTP_SERVER = (
    "import http.server, os;"
    "address = (os.environ['POD_IP'], 8080);"
    "http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()"
)
LOOP = "while :; do sleep 0.05; done"
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


async def test_a_pod_becomes_a_process_with_an_address(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", script='echo "$POD_IP"; exec sleep 60', env=[POD_IP]))
        pod = await node.until_ready("p")
        assert pod["spec"]["nodeName"] == "local"
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"].startswith("127.")
        assert proc.command(pid_of(pod)) == "sleep 60"
        assert await until(lambda: node.log("p")) == f"{pod['status']['podIP']}\n"


async def test_pods_that_are_gone_leave_no_address_behind(api, tmp_path):
    async with running_node(api, tmp_path) as node:

        def known():
            return set(json.loads(node.settings.addresses_file.read_text())["pods"])

        for name in ("stays", "p", "q"):
            await node.create(pod_manifest(name))
        before = await node.until_ready("p")
        for name in ("p", "q"):
            await node.client.delete(POD, name, NAMESPACE)
            await node.until_gone(name)
        await until(lambda: known() == {f"{NAMESPACE}/stays"})
        await node.create(pod_manifest("p"))
        assert (await node.until_ready("p"))["status"]["podIP"] == before["status"]["podIP"]


async def test_a_crash_is_shown_with_its_last_words_and_tried_again(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", script="echo fine; echo 'no such model' >&2; exit 3"))
        entry = await node.until_waiting("p", "CrashLoopBackOff")
        assert entry["lastState"]["terminated"]["exitCode"] == 3
        assert entry["state"]["waiting"]["message"].endswith("exited with code 3: no such model")
        await node.until("p", lambda pod: container_status(pod)["restartCount"] >= 2)
        await node.until_said("BackOff", "container main: exited with code 3: no such model")


async def test_a_process_that_recovers_is_ready_again(api, tmp_path):
    script = "test -e $FLAG && exec sleep 60; touch $FLAG; exit 1"
    async with running_node(api, tmp_path) as node:
        flag = {"name": "FLAG", "value": str(tmp_path / "flag")}
        await node.create(pod_manifest("p", script=script, env=[flag]))
        await node.until("p", lambda pod: is_ready(pod) and container_status(pod)["restartCount"] == 1)


async def test_what_served_well_and_was_killed_is_not_made_to_wait_longer(api, tmp_path):
    slow = Backoff(initial=0.5, maximum=8.0, jitter=0.0)
    ready = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    server = pod_manifest(
        "p", command=[sys.executable, "-c", HTTP_SERVER], env=[POD_IP], readinessProbe=ready
    )
    async with running_node(api, tmp_path, back_off=slow) as node:
        await node.create(server)
        for killed in range(3):
            pod = await node.until(
                "p",
                lambda pod, n=killed: is_ready(pod) and container_status(pod)["restartCount"] == n and pod,
            )
            os.kill(pid_of(pod), signal.SIGKILL)
            entry = await node.until_waiting("p", "CrashLoopBackOff")
            assert entry["state"]["waiting"]["message"].startswith("back-off 0.5s")


FLEEING = """
import os, socket, sys, time
listening = socket.create_server((os.environ["POD_IP"], 8080))  # refused while anybody has the port
for way in range(3):
    if not os.fork():
        os.setsid()
        if way and os.fork():
            os._exit(0)
        for _ in range(2000 * (way == 2)):  # one that starts itself again and again
            if os.fork():
                os._exit(0)
            time.sleep(0.01)
        time.sleep(30)
open(sys.argv[1], "a").write("begun\\n")
time.sleep(600)
"""


async def test_what_a_container_left_in_sessions_of_its_own_ends_with_it(api, tmp_path):
    """As in a cluster's container: a daemon would hold the port against the next process."""
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", FLEEING, str(begun)]
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("beside"))
        beside = pid_of(await node.until_ready("beside"))
        await node.create(pod_manifest("p", command=command, env=[POD_IP]))
        for number in (1, 2, 3):
            await until(lambda n=number: begun.exists() and len(begun.read_text().splitlines()) == n)
            pod = await node.until("p", lambda pod: is_ready(pod) and pod)
            os.kill(pid_of(pod), signal.SIGKILL)
            await node.until("p", lambda pod, n=number: container_status(pod)["restartCount"] == n)
        assert proc.start_time(beside)


async def test_deletion_ends_the_process_and_then_the_object(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p"))
        pod = await node.until_ready("p")
        await node.client.delete(POD, "p", NAMESPACE)
        await node.until_gone("p")
        assert proc.start_time(pid_of(pod)) is None
        assert not (node.settings.pods_dir / pod["metadata"]["uid"]).exists()


async def test_a_new_pod_of_the_same_name_has_the_same_address(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p"))
        first = await node.until_ready("p")
        await node.client.delete(POD, "p", NAMESPACE, grace_seconds=0)
        await node.until_gone("p")
        await node.create(pod_manifest("p"))
        second = await node.until_ready("p")
        assert first["status"]["podIP"] == second["status"]["podIP"]
        assert first["metadata"]["uid"] != second["metadata"]["uid"]
        assert proc.start_time(pid_of(first)) is None


async def test_a_forced_deletion_shortens_the_grace(api, tmp_path):
    script = f"trap '' TERM; touch {tmp_path}/up; {LOOP}"
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", script=script, spec_terminationGracePeriodSeconds=600))
        pod = await node.until_ready("p")
        await until((tmp_path / "up").exists)
        await node.client.delete(POD, "p", NAMESPACE)
        await node.until("p", lambda pod: pod["metadata"].get("deletionTimestamp"))
        await node.client.delete(POD, "p", NAMESPACE, grace_seconds=0)
        await until(lambda: proc.start_time(pid_of(pod)) is None)


async def test_the_end_of_the_node_waits_for_no_pod_longer_than_for_the_node(api, tmp_path):
    async with running_node(api, tmp_path, shutdown_grace=0.5) as node:
        script = f"trap '' TERM; touch {tmp_path}/up; {LOOP}"
        await node.create(pod_manifest("p", script=script, spec_terminationGracePeriodSeconds=600))
        pod = await node.until_ready("p")
        await until((tmp_path / "up").exists)
    assert proc.start_time(pid_of(pod)) is None


async def test_the_end_of_the_node_has_one_time_for_all_pods(api, tmp_path):
    """The components end one after the other."""
    async with running_node(api, tmp_path, shutdown_grace=1) as node:
        for name in STOP_ORDER:
            label = {"app.kubernetes.io/name": name or "other"}
            script = f"trap '' TERM; touch {tmp_path}/up-{name}; {LOOP}"
            await node.create(pod_manifest(f"p{name}", script=script, labels=label))
            await until((tmp_path / f"up-{name}").exists)
        began = asyncio.get_running_loop().time()
    assert 1 <= asyncio.get_running_loop().time() - began < 4


async def test_readiness_follows_the_probe(api, tmp_path):
    ready = {"httpGet": {"port": "http", "path": "/ready"}, "periodSeconds": 1, "failureThreshold": 1}
    async with running_node(api, tmp_path) as node:
        manifest = pod_manifest(
            "p",
            command=[sys.executable, "-c", HTTP_SERVER],
            env=[POD_IP],
            workingDir=str(tmp_path / "www"),
            ports=[{"name": "http", "containerPort": 8080}],
            readinessProbe=ready,
        )
        await node.create(manifest)
        await node.until("p", lambda pod: "running" in container_status(pod).get("state", {}))
        assert not is_ready(await node.pod("p"))
        await node.until_said("Unhealthy", "container main: readiness probe failed: /ready answered HTTP 404")
        (tmp_path / "www" / "ready").write_text("yes")
        await node.until_ready("p")
        (tmp_path / "www" / "ready").unlink()
        await node.until("p", lambda pod: not is_ready(pod))


async def test_a_process_that_does_not_live_is_started_again(api, tmp_path):
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", livenessProbe=probe))
        entry = await node.until_waiting("p", "CrashLoopBackOff")
        assert "liveness probe failed" in entry["lastState"]["terminated"]["message"]


async def test_a_stopped_process_is_killed_after_the_grace_of_its_probe(api, tmp_path):
    """It hears no SIGTERM, and the grace of its pod is longer than this test may take."""
    (tmp_path / "www").mkdir()
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}
    async with running_node(api, tmp_path, grace=600) as node:
        manifest = pod_manifest(
            "p",
            command=[sys.executable, "-c", HTTP_SERVER],
            env=[POD_IP],
            workingDir=str(tmp_path / "www"),
            ports=[{"name": "http", "containerPort": 8080}],
            startupProbe={**probe, "failureThreshold": 60},
            readinessProbe=probe,
            livenessProbe={**probe, "terminationGracePeriodSeconds": 1},
        )
        await node.create(manifest)
        os.kill(pid_of(await node.until_ready("p")), signal.SIGSTOP)
        pod = await node.until("p", lambda pod: pod if container_status(pod)["restartCount"] else None)
        ended = container_status(pod)["lastState"]["terminated"]
        assert "did not answer within 1s" in ended["message"]


async def test_a_startup_probe_holds_readiness_back(api, tmp_path):
    probe = {"httpGet": {"port": 8080, "path": "/started"}, "periodSeconds": 1, "failureThreshold": 60}
    async with running_node(api, tmp_path) as node:
        manifest = pod_manifest(
            "p",
            command=[sys.executable, "-c", HTTP_SERVER],
            env=[POD_IP],
            workingDir=str(tmp_path / "www"),
            startupProbe=probe,
        )
        await node.create(manifest)
        await node.until("p", lambda pod: "running" in container_status(pod).get("state", {}))
        assert not is_ready(await node.pod("p"))
        (tmp_path / "www" / "started").write_text("yes")
        await node.until_ready("p")


async def test_a_program_that_is_not_installed_is_named(api, tmp_path):
    programs = {"mlserver": Program("MLServer", ("/no/env/bin/mlserver",), "run `make setup`")}
    async with running_node(api, tmp_path, programs=programs) as node:
        manifest = pod_manifest("p", image="seldonio/mlserver:1.7")
        del manifest["spec"]["containers"][0]["command"]
        await node.create(manifest)
        entry = await node.until_waiting("p", "CreateContainerError")
        expected = "MLServer is not installed at /no/env/bin/mlserver: run `make setup`"
        assert entry["state"]["waiting"]["message"] == expected


async def test_a_secret_that_is_missing_is_named_and_waited_for(api, tmp_path):
    volume = {"name": "t", "secret": {"secretName": "tokens"}}
    async with running_node(api, tmp_path) as node:
        manifest = pod_manifest(
            "p",
            script='echo "$TOKEN_FILE"; exec sleep 60',
            env=[{"name": "TOKEN_FILE", "value": "/var/run/secrets/token"}],
            volumeMounts=[{"name": "t", "mountPath": "/var/run/secrets"}],
            spec_volumes=[volume],
        )
        await node.create(manifest)
        entry = await node.until_waiting("p", "CreateContainerConfigError")
        message = "volume t: Secret tokens does not exist in the pod's namespace"
        assert entry["state"]["waiting"]["message"] == message
        secret = {"metadata": {"name": "tokens", "namespace": NAMESPACE}, "stringData": {"token": "geheim"}}
        await node.create({"apiVersion": "v1", "kind": "Secret", **secret})
        await node.until_ready("p")
        path = await until(lambda: _path(node.log("p")))
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("geheim", 0o600)


async def test_a_secret_that_changes_reaches_a_pod_that_runs(api, tmp_path):
    volume = {"name": "t", "secret": {"secretName": "tokens"}}
    manifest = pod_manifest(
        "p",
        script="while :; do cat $TOKEN_FILE; sleep 0.05; done",
        env=[{"name": "TOKEN_FILE", "value": "/var/run/secrets/token"}],
        volumeMounts=[{"name": "t", "mountPath": "/var/run/secrets"}],
        spec_volumes=[volume],
    )
    metadata = {"name": "tokens", "namespace": NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    async with running_node(api, tmp_path) as node:
        await node.create({**secret, "stringData": {"token": "old "}})
        await node.create(manifest)
        await until(lambda: "old" in node.log("p"))
        await node.client.apply({**secret, "stringData": {"token": "new "}}, field_manager="x", force=True)
        await until(lambda: "new" in node.log("p"))


async def test_claims_outlive_pods_and_scratch_directories_do_not(api, tmp_path):
    script = "echo kept > $CLAIM/file; echo $SCRATCH; exec sleep 60"
    async with running_node(api, tmp_path) as node:
        manifest = pod_manifest(
            "p",
            script=script,
            env=[{"name": "CLAIM", "value": "/mnt/claim"}, {"name": "SCRATCH", "value": "/mnt/scratch"}],
            volumeMounts=[
                {"name": "claim", "mountPath": "/mnt/claim"},
                {"name": "scratch", "mountPath": "/mnt/scratch"},
            ],
            spec_volumes=[
                {"name": "claim", "persistentVolumeClaim": {"claimName": "models-p"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        )
        await node.create(manifest)
        scratch = await until(lambda: _path(node.log("p")))
        assert scratch.is_dir()
        await node.client.delete(POD, "p", NAMESPACE)
        await node.until_gone("p")
        assert not scratch.exists()
        assert (node.settings.claims_dir / NAMESPACE / "models-p" / "file").read_text() == "kept\n"


async def test_a_port_that_somebody_has_is_named_with_its_holder(api, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        async with running_node(api, tmp_path) as node:
            ports = [{"name": "http", "containerPort": 9000, "hostPort": port, "hostIP": "127.0.0.1"}]
            await node.create(pod_manifest("p", ports=ports))
            entry = await node.until_waiting("p", "HostPortConflict")
            message = entry["state"]["waiting"]["message"]
            assert message.startswith(f"port {port} on 127.0.0.1 is in use by ")
            assert "(pid " in message
            stranger.close()
            await node.until_ready("p")


async def test_init_containers_run_first_and_once(api, tmp_path):
    trace = tmp_path / "trace"
    init = {"name": "first", "image": "x", "command": ["/bin/sh", "-c", f"echo init >> {trace}"]}
    async with running_node(api, tmp_path) as node:
        script = f"echo main >> {trace}; exec sleep 60"
        await node.create(pod_manifest("p", script=script, spec_initContainers=[init]))
        await node.until_ready("p")
        assert await until(lambda: trace.read_text().splitlines()[1:] and trace.read_text()) == "init\nmain\n"


async def test_services_become_endpoint_files(api, tmp_path):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "p"}, "ports": [{"name": "xds", "port": 9002}]},
    }
    async with running_node(api, tmp_path) as node:
        await node.create(service)
        await node.create(pod_manifest("p"))
        pod = await node.until_ready("p")
        directory = node.settings.endpoints_dir / NAMESPACE
        hosts = directory / "s.hosts"
        await until(lambda: hosts.exists() and hosts.read_text() == f"{pod['status']['podIP']}\n")
        found = await until(lambda: _endpoints(directory / "s.json"))
        assert found == [{"address": pod["status"]["podIP"], "port_value": 9002}]
        await node.client.delete(POD, "p", NAMESPACE)
        await until(lambda: hosts.read_text() == "")
        await node.client.delete(SERVICE, "s", NAMESPACE)
        await until(lambda: not hosts.exists())


async def test_stopping_ends_processes_and_keeps_pods(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p"))
        pod = await node.until_ready("p")
    assert proc.start_time(pid_of(pod)) is None
    async with running_node(api, tmp_path) as node:
        again = await node.until(
            "p", lambda new: new if new and is_ready(new) and pid_of(new) != pid_of(pod) else None
        )
        assert again["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_a_pod_speaks_to_the_api_as_its_service_account(api, tmp_path):
    account = {"name": "seldon-server", "namespace": NAMESPACE}
    async with running_node(api, tmp_path) as node:
        await node.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        script = 'echo "$KUBECONFIG"; exec sleep 60'
        await node.create(pod_manifest("p", script=script, spec_serviceAccountName="seldon-server"))
        await node.until_ready("p")
        path = await until(lambda: _path(node.log("p")))
        assert path.stat().st_mode & 0o777 == 0o600
        async with Client.from_kubeconfig(path) as pods_client:
            assert pods_client.namespace == NAMESPACE
            with pytest.raises(Forbidden, match=f"system:serviceaccount:{NAMESPACE}:seldon-server"):
                await pods_client.list(POD, NAMESPACE)
        await node.client.delete(POD, "p", NAMESPACE)
        await node.until_gone("p")
        assert not path.exists()


async def test_only_the_containers_that_mount_the_account_have_it(api, tmp_path):
    account = {"name": "seldon-server", "namespace": NAMESPACE}
    script = 'echo "<$KUBECONFIG>"; cd "$ACCOUNT"; cat namespace token ca.crt; exec sleep 60'
    manifest = pod_manifest("p", script=script, spec_serviceAccountName="seldon-server")
    spec = manifest["spec"]
    [mounting] = spec["containers"]
    mounting["env"] = [{"name": "ACCOUNT", "value": "/account"}]
    spec |= {"automountServiceAccountToken": False, "volumes": [ACCOUNT_VOLUME]}
    spec["containers"] = [
        mounting | {"volumeMounts": [{"name": "account", "mountPath": "/account"}]},
        mounting | {"name": "model", "volumeMounts": []},
    ]
    async with running_node(api, tmp_path) as node:
        certificate = node.settings.api_ca.read_text()
        await node.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        await node.create(manifest)
        await node.until_ready("p")
        given = await until(lambda: (found := node.log("p")).endswith(certificate) and found)
        kubeconfig, _, content = given.partition("\n")
        token = _token(Path(kubeconfig.strip("<>")))
        assert content == f"{NAMESPACE}{token}{certificate}"
        await until(lambda: "<>" in node.log("p", "model"))
        assert token not in node.log("p", "model")


async def test_an_account_that_does_not_exist_is_named(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", spec_serviceAccountName="nobody"))
        entry = await node.until_waiting("p", "CreateContainerConfigError")
        assert "nobody" in entry["state"]["waiting"]["message"]


async def test_the_door_closes_after_the_control_plane_and_before_the_servers(api, tmp_path):
    trace = tmp_path / "trace"
    names = ("seldon-server", "seldon-envoy", "other", "seldon-scheduler")
    async with running_node(api, tmp_path) as node:
        for name in names:
            script = f"trap 'echo {name} >> {trace}; exit 0' TERM; touch {tmp_path}/{name}; " + LOOP
            labels = {"app.kubernetes.io/name": name}
            await node.create(pod_manifest(name, script=script, labels=labels))
        await until(lambda: all((tmp_path / name).exists() for name in names))
    assert trace.read_text().split() == ["seldon-scheduler", "other", "seldon-envoy", "seldon-server"]


async def test_the_pre_stop_hook_is_asked_before_the_signal(api, tmp_path):
    (tmp_path / "www").mkdir()
    hook = {"preStop": {"httpGet": {"port": 8080, "path": "/terminate"}}}
    probe = {"tcpSocket": {"port": 8080}}
    async with running_node(api, tmp_path) as node:
        manifest = pod_manifest(
            "p",
            command=[sys.executable, "-u", "-c", HTTP_SERVER],
            env=[POD_IP],
            workingDir=str(tmp_path / "www"),
            readinessProbe=probe,
            lifecycle=hook,
        )
        await node.create(manifest)
        await node.until_ready("p")
        await node.client.delete(POD, "p", NAMESPACE)
        await node.until_gone("p")
        assert "GET /terminate" in node.log("p")


@pytest.mark.parametrize(
    ("hook", "before"),
    [
        ({"exec": {"command": ["sh", "-c", "echo hook $WORD >> $TRACE"]}}, "hook said"),
        ({"exec": {"command": ["sh", "-c", "echo hook >> $TRACE; exit 3"]}}, "hook"),
        ({"exec": {"command": ["sh", "-c", "echo hook >> $TRACE; sleep 60"]}}, "hook"),
        ({"exec": {"command": ["/nowhere/program"]}}, ""),
        ({"httpGet": {"port": "unnamed", "path": "/"}}, ""),
        ({"sleep": {"seconds": 1}}, ""),
    ],
    ids=["exec", "fails", "hangs", "missing", "no-port", "sleep"],
)
async def test_pre_stop_hooks_run_before_the_signal(api, tmp_path, hook, before):
    trace = tmp_path / "trace"
    script = f"trap 'echo told >> {trace}; exit 0' TERM; touch {tmp_path}/up; " + LOOP
    env = [{"name": "WORD", "value": "said"}, {"name": "TRACE", "value": str(trace)}]
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("p", script=script, env=env, lifecycle={"preStop": hook}))
        await until((tmp_path / "up").exists)
        begun = asyncio.get_running_loop().time()
        await node.client.delete(POD, "p", NAMESPACE, grace_seconds=4)
        await node.until_gone("p")
        seconds = asyncio.get_running_loop().time() - begun
    assert trace.read_text().splitlines() == [*filter(None, [before]), "told"]
    assert seconds >= (1 if "sleep" in hook else 0)


async def test_a_container_that_is_given_up_has_its_hook_run_too(api, tmp_path):
    hook = {"exec": {"command": ["sh", "-c", f"echo hook >> {tmp_path}/trace"]}}
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1}
    script = f"trap 'echo told >> {tmp_path}/trace; exit 0' TERM; " + LOOP
    async with running_node(api, tmp_path) as node:
        await node.create(
            pod_manifest("p", script=script, livenessProbe=probe, lifecycle={"preStop": hook}, env=[POD_IP])
        )
        await until(lambda: (tmp_path / "trace").exists() and "told" in (tmp_path / "trace").read_text())
    assert (tmp_path / "trace").read_text().splitlines()[:2] == ["hook", "told"]


async def test_a_log_is_rotated_while_the_process_writes_on(api, tmp_path):
    script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"
    async with running_node(api, tmp_path, log_max_bytes=200, log_check_seconds=0.05) as node:
        await node.create(pod_manifest("p", script=script))
        moved = node.settings.logs_dir / NAMESPACE / "p" / "main.1.log"
        await until(moved.exists)
        await until(lambda: node.log("p"))


def _token(kubeconfig):
    return yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]


def _path(text):
    return Path(text.strip()) if text.endswith("\n") else None


def _endpoints(path):
    if not path.exists():
        return None
    endpoints = json.loads(path.read_text())["resources"][0]["endpoints"]
    return [each["endpoint"]["address"]["socket_address"] for e in endpoints for each in e["lb_endpoints"]]


@pytest.fixture(autouse=True)
def _no_process_is_left(tmp_path):
    yield
    left = [pid for pid in proc.pids() if proc.variable(pid, "BAILIE_NODE_STATE") == str(tmp_path)]
    assert not left
