from __future__ import annotations

from dataclasses import asdict

import pytest
from tests.support.manifests import default_server_config, server

from bailie.manifests.server import server_workload

DRAIN = "BAILIE_DRAIN_SECONDS"
CAPABILITIES = {
    "as configured": ({}, "mlserver,sklearn"),
    "replaced": ({"capabilities": ["a", " b "]}, "a,b"),
    "extended": ({"extraCapabilities": ["a", "sklearn"]}, "mlserver,sklearn,a"),
    "replacement wins": ({"capabilities": ["a"], "extraCapabilities": ["b"]}, "a"),
}


def _config_with(capabilities):
    config = default_server_config()
    for container in config.spec.pod_spec["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == "SELDON_SERVER_CAPABILITIES":
                variable["value"] = capabilities
    return config


def _env(workload, container, name):
    found = next(c for c in workload.template["spec"]["containers"] if c["name"] == container)
    return next(v["value"] for v in found["env"] if v["name"] == name)


def test_the_default_server_is_the_golden_one(golden):
    golden.check("server", asdict(server_workload(server(), default_server_config())))


@pytest.mark.parametrize(("spec", "expected"), CAPABILITIES.values(), ids=CAPABILITIES)
def test_capabilities(spec, expected):
    workload = server_workload(
        server(**spec), _config_with("mlserver, sklearn" if spec else "mlserver,sklearn")
    )
    assert _env(workload, "agent", "SELDON_SERVER_CAPABILITIES") == expected


def test_a_scheduler_that_somebody_chose_is_left_alone():
    own = {"name": "agent", "env": [{"name": "SELDON_SCHEDULER_HOST", "value": "10.0.0.1"}]}
    workload = server_workload(server(podSpec={"containers": [own]}), default_server_config())
    assert _env(workload, "agent", "SELDON_SCHEDULER_HOST") == "10.0.0.1"


def test_the_agent_counts_the_workers_that_the_server_has():
    own = {"name": "mlserver", "env": [{"name": "MLSERVER_PARALLEL_WORKERS", "value": "3"}]}
    workload = server_workload(server(podSpec={"containers": [own]}), default_server_config())
    assert _env(workload, "agent", "MLSERVER_PARALLEL_WORKERS") == "3"
    assert _env(workload, "mlserver", "MLSERVER_PARALLEL_WORKERS") == "3"
    agent = {"name": "agent", "env": [{"name": "MLSERVER_PARALLEL_WORKERS", "value": "9"}]}
    workload = server_workload(server(podSpec={"containers": [agent, own]}), default_server_config())
    assert _env(workload, "agent", "MLSERVER_PARALLEL_WORKERS") == "3"


@pytest.mark.parametrize(
    ("grace", "expected"), [(120, "105"), (600, "585"), (30, "15"), (20, "10"), (1, "0"), (0, "0")]
)
def test_the_agent_drains_for_less_than_the_grace_period(grace, expected):
    pod = {"terminationGracePeriodSeconds": grace}
    assert _env(server_workload(server(podSpec=pod), default_server_config()), "agent", DRAIN) == expected


def test_without_a_grace_period_it_is_that_of_kubernetes():
    config = default_server_config()
    del config.spec.pod_spec["terminationGracePeriodSeconds"]
    assert _env(server_workload(server(), config), "agent", DRAIN) == "15"


def test_a_time_to_drain_that_somebody_chose_is_left_alone():
    own = {"name": "agent", "env": [{"name": DRAIN, "value": "7"}]}
    workload = server_workload(server(podSpec={"containers": [own]}), default_server_config())
    assert _env(workload, "agent", DRAIN) == "7"


def test_override_and_replicas():
    override = {"containers": [{"name": "mlserver", "image": "mine:1", "env": [{"name": "X", "value": "y"}]}]}
    workload = server_workload(server(podSpec=override, minReplicas=3), default_server_config())
    image = next(c["image"] for c in workload.template["spec"]["containers"] if c["name"] == "mlserver")
    assert (image, workload.replicas, _env(workload, "mlserver", "X")) == ("mine:1", 3, "y")


def test_numbers_from_the_first_ordinal_on():
    assert server_workload(server(), default_server_config()).first_ordinal == 0
    later = server(annotations={"bailie.io/first-ordinal": "100"})
    assert server_workload(later, default_server_config()).first_ordinal == 100


def test_a_server_that_is_held_back_has_no_pods_and_its_pods_do_not_say_so():
    held, free = (
        server_workload(server(replicas=2, annotations={"bailie.io/held": each}), default_server_config())
        for each in ("true", "false")
    )
    assert (held.replicas, free.replicas) == (0, 2)
    assert held.template == free.template == server_workload(server(), default_server_config()).template


def test_labels_of_tools_stay_behind():
    labels = {
        "team": "a",
        "helm.sh/chart": "x",
        "app.kubernetes.io/managed-by": "Helm",
        "seldon-server-name": "evil",
    }
    workload = server_workload(server(labels=labels), default_server_config())
    assert workload.template["metadata"]["labels"] == {
        "team": "a",
        "seldon-server-name": "mlserver",
        "app.kubernetes.io/name": "seldon-server",
    }


def test_the_pods_carry_what_the_configuration_has_and_what_the_server_has_wins():
    config = default_server_config(
        labels={"team": "platform", "tier": "gpu", "helm.sh/chart": "x", "seldon-server-name": "evil"},
        annotations={"prometheus.io/scrape": "true", "owner": "platform", "kubectl.kubernetes.io/x": "y"},
    )
    made = server(labels={"team": "a"}, annotations={"owner": "a"})
    assert server_workload(made, config).template["metadata"] == {
        "labels": {
            "team": "a",
            "tier": "gpu",
            "seldon-server-name": "mlserver",
            "app.kubernetes.io/name": "seldon-server",
        },
        "annotations": {"prometheus.io/scrape": "true", "owner": "a"},
    }


def test_claims_and_their_retention():
    config = default_server_config()
    claims = [{"name": "models", "spec": {"accessModes": ["ReadWriteOnce"]}}]
    config = config.model_validate(
        {**config.model_dump(by_alias=True), "spec": {"podSpec": {}, "volumeClaimTemplates": claims}}
    )
    policy = {"whenScaled": "Delete"}
    workload = server_workload(server(statefulSetPersistentVolumeClaimRetentionPolicy=policy), config)
    assert workload.volume_claim_templates == (
        {"metadata": {"name": "models"}, "spec": {"accessModes": ["ReadWriteOnce"]}},
    )
    assert workload.claim_retention == policy
