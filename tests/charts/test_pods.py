"""The pods of the charts are those of a laptop, and what only a cluster has is in this file."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from tests.support.charts import render

from bailie.agent.settings import Settings as AgentSettings
from bailie.api.model import Model
from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.gateway.settings import StarterSettings
from bailie.local.bootstrap import operator_workload
from bailie.local.settings import LocalSettings
from bailie.manifests.checks import template_problems
from bailie.manifests.defaults import mlserver_config, pipeline_gateway_config, seldon_config
from bailie.manifests.fences import Fence, forbidden
from bailie.manifests.server import server_origin, server_workload
from bailie.operator.settings import OperatorSettings
from bailie.pipelinegateway.settings import PipelineGatewaySettings
from bailie.scheduler.settings import SchedulerSettings
from bailie.settings.reader import read, rows

EXAMPLE = Path(__file__).parents[2] / "examples" / "on-a-cluster"
HOME = "seldon-system"
IMAGES = {"image": "bailie:0.1.0"}
SETUP = render("setup", {"serverConfig": {"mlserver": {"modelVolumeStorage": ""}}}, namespace=HOME)
ON_A_CLUSTER = {"resources", "terminationGracePeriodSeconds", "SELDON_SERVER_CAPABILITIES"}
"""What a cluster needs in another amount, or knows better."""


def pods(manifests):
    """Returns the pods of the configurations by a name."""
    found = {}
    for manifest in manifests:
        if manifest["kind"] == "SeldonConfig":
            found |= {each["name"]: each["podSpec"] for each in manifest["spec"]["components"]}
        elif manifest["kind"] == "ServerConfig":
            found[manifest["metadata"]["name"]] = manifest["spec"]["podSpec"]
    return found


CLUSTER = pods(SETUP.manifests)
LAPTOP = pods(
    [
        seldon_config(HOME, image="bailie:0.1.0"),
        mlserver_config(HOME, image="bailie:0.1.0", server_image="bailie-mlserver:0.1.0"),
        pipeline_gateway_config(HOME, image="bailie:0.1.0"),
    ]
)


PROCESSES = {
    "manager": OperatorSettings,
    "scheduler": SchedulerSettings,
    "envoy": StarterSettings,
    "agent": AgentSettings,
    "pipelinegateway": PipelineGatewaySettings,
}
"""What the containers read, by their names; by the process where a Server's is no agent."""
KNOWN_LATER = {
    "POD_NAME": "mlserver-0", "POD_NAMESPACE": "a", "POD_IP": "10.0.0.7", "MEMORY_REQUEST": "1073741824",
    "BAILIE_ENVOY_MEMORY": "1073741824", "BAILIE_KAFKA_DIGEST": "none",
}  # fmt: skip
"""Values that the kubelet knows."""
OPERATOR = SETUP.of("Deployment")[0]["spec"]["template"]["spec"]


def containers():
    """Returns the containers of Bailie's own image, on a cluster and on a laptop."""
    every = {"operator": OPERATOR, **CLUSTER, **{f"laptop's {name}": pod for name, pod in LAPTOP.items()}}
    every["laptop's operator"] = operator_workload(LocalSettings()).template["spec"]
    return {
        f"{name}, {container['name']}": container
        for name, pod in every.items()
        for container in pod["containers"]
        if container["name"] in PROCESSES
    }


@pytest.mark.parametrize("container", containers().values(), ids=containers())
def test_a_process_reads_the_variables_that_it_is_given(container):
    kind = PROCESSES.get(container["args"][0]) or PROCESSES[container["name"]]
    given = {each["name"]: each.get("value") or KNOWN_LATER[each["name"]] for each in container["env"]}
    assert given.keys() <= {row.variable for row in rows(kind)}
    others = {"server": "", "replica": 0} if kind is AgentSettings else {}
    assert read(kind, given, **others)


@pytest.mark.parametrize("name", LAPTOP)
def test_what_a_laptop_has_a_cluster_has_too(name):
    assert list(_lacking(name, LAPTOP[name], CLUSTER[name])) == []


@pytest.mark.parametrize("name", [*CLUSTER, "operator"])
def test_pods_meet_the_restricted_standard(name):
    pod = CLUSTER.get(name, OPERATOR)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        if container["image"].startswith("bailie"):
            assert context["readOnlyRootFilesystem"] is True
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


MAY_CALL_THE_API = {"scheduler", "agent", "manager"}


@pytest.mark.parametrize(
    "pod", [*CLUSTER.values(), *LAPTOP.values(), OPERATOR], ids=lambda pod: pod["containers"][0]["image"]
)
def test_only_what_calls_the_api_has_a_token_and_a_server_shares_no_folder_but_the_models(pod):
    assert pod["automountServiceAccountToken"] is False
    tokens = {volume["name"] for volume in pod["volumes"] if "secret" in volume or "projected" in volume}
    mounts = {
        container["name"]: {mount["name"] for mount in container["volumeMounts"]}
        for container in pod["containers"]
    }
    assert {name for name, mounted in mounts.items() if "account" in mounted} <= MAY_CALL_THE_API
    for server in {"mlserver", "triton"} & mounts.keys():
        assert not tokens & mounts[server]
        assert {name.removeprefix(f"{server}-") for name in mounts[server] & mounts["agent"]} == {"models"}


def test_what_a_container_at_its_place_reads_is_what_clients_of_the_api_look_for():
    [account] = [volume for volume in OPERATOR["volumes"] if volume["name"] == "account"]
    assert account["projected"]["sources"] == [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]


@pytest.mark.parametrize("name", CLUSTER)
def test_what_is_mounted_is_a_volume_and_what_is_asked_of_is_a_container(name):
    pod = CLUSTER[name]
    claims = {"triton-models"} if name == "triton" else set()
    volumes = {volume["name"] for volume in pod["volumes"]} | claims
    containers = {container["name"] for container in pod["containers"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        ports = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            handler = container.get(probe, {})
            for kind in ("httpGet", "tcpSocket"):
                assert handler.get(kind, {}).get("port", next(iter(ports))) in ports
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("resourceFieldRef", {})
            assert reference.get("containerName", next(iter(containers))) in containers


def test_what_the_charts_make_has_no_problem_and_no_warning():
    kinds = {kind.__name__: kind for kind in (SeldonConfig, ServerConfig, SeldonRuntime, Server)}
    made = [*SETUP.manifests, *render("runtime").manifests, *render("servers").manifests]
    parsed = [kinds[m["kind"]].parse(_stored(m)) for m in made if m["kind"] in kinds]
    assert len(parsed) == 7
    assert [problems for _, problems in parsed if problems] == []


def _lacking(path, wanted, found):
    """Yields where `found` differs from what `wanted` has; of lists with names the order does not count."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key not in ON_A_CLUSTER and wanted.get("name") not in ON_A_CLUSTER:
                yield from _lacking(f"{path}.{key}", value, found.get(key))
    elif isinstance(wanted, list) and isinstance(found, list) and all("name" in item for item in wanted):
        by_name = {item["name"]: item for item in found}
        for item in wanted:
            name = {"models": "mlserver-models"}.get(item["name"], item["name"])
            yield from _lacking(f"{path}[{name}]", {**item, "name": name}, by_name.get(name))
    elif wanted != found:
        yield f"{path}: {wanted!r}, not {found!r}"


def _stored(manifest):
    return {**manifest, "metadata": {**manifest["metadata"], "uid": "u", "generation": 1}}


def test_the_example_on_a_cluster_gives_the_agent_the_folder_that_its_model_names():
    values = yaml.safe_load((EXAMPLE / "servers.yaml").read_text())
    [manifest] = render("servers", values, namespace="a").of("Server")
    [config] = [each for each in SETUP.of("ServerConfig") if each["metadata"]["name"] == "mlserver"]
    (server, _), (config, _) = Server.parse(manifest), ServerConfig.parse(config)
    workload = server_workload(server, config)
    assert template_problems(workload) == []
    assert forbidden(workload, Fence(), server_origin(config)) == ""
    [agent] = [each for each in workload.template["spec"]["containers"] if each["name"] == "agent"]
    [mount] = [each for each in agent["volumeMounts"] if each["name"] == "iris"]
    model, problems = Model.parse(yaml.safe_load((EXAMPLE / "model.yaml").read_text()))
    assert (model.spec.storage_uri, problems) == (mount["mountPath"], [])
    [root] = {field.name: field.default for field in dataclasses.fields(AgentSettings)}["roots"].allowed
    assert mount["mountPath"].startswith(f"{root}/")
