from __future__ import annotations

import pytest

from bailie.api.seldon_config import SeldonConfig
from bailie.api.server_config import ServerConfig
from bailie.manifests.defaults import mlserver_config, seldon_config

SELDON = seldon_config("bailie-system", image="bailie:1", log_level="debug")
SERVER = mlserver_config("bailie-system", image="bailie:1", server_image="bailie-mlserver:1")
PODS = {
    **{c["name"]: c["podSpec"] for c in SELDON["spec"]["components"]},
    "mlserver": SERVER["spec"]["podSpec"],
}


@pytest.mark.parametrize(("kind", "manifest"), [(SeldonConfig, SELDON), (ServerConfig, SERVER)])
def test_defaults_are_valid_and_without_warnings(kind, manifest):
    found, problems = kind.parse(manifest)
    assert found is not None
    assert problems == []


@pytest.mark.parametrize("name", PODS)
def test_references_within_a_pod_hold(name):
    pod = PODS[name]
    volumes = {v["name"] for v in pod["volumes"]}
    for container in pod["containers"]:
        ports = {p["name"] for p in container["ports"]}
        assert {m["name"] for m in container["volumeMounts"]} <= volumes
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            handler = container.get(probe, {})
            target = handler.get("httpGet") or handler.get("tcpSocket") or {"port": next(iter(ports))}
            assert target["port"] in ports


@pytest.mark.parametrize("name", PODS)
def test_port_names_fit_kubernetes(name):
    for container in PODS[name]["containers"]:
        assert all(len(p["name"]) <= 15 for p in container["ports"])


@pytest.mark.parametrize("name", PODS)
def test_nothing_runs_as_root_and_no_secret_is_in_an_argument(name):
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert all(c["securityContext"]["allowPrivilegeEscalation"] is False for c in pod["containers"])
    assert all("secretKeyRef" not in str(c.get("env")) for c in pod["containers"])


def test_the_server_has_the_memory_that_the_agent_reports():
    agent, mlserver = PODS["mlserver"]["containers"]
    memory = next(v for v in agent["env"] if v["name"] == "MEMORY_REQUEST")
    assert memory["valueFrom"]["resourceFieldRef"]["containerName"] == mlserver["name"]
    assert mlserver["resources"]["requests"]["memory"] == "1Gi"


def test_an_envoy_may_wait_for_its_scheduler_and_is_given_up_when_it_hangs():
    (envoy,) = PODS["seldon-envoy"]["containers"]
    startup, liveness = envoy["startupProbe"], envoy["livenessProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] > 50 * 365 * 24 * 3600
    assert 15 <= liveness.get("failureThreshold", 3) * liveness["periodSeconds"] <= 20
