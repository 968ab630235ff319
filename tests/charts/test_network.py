"""Who may connect to what, by the rendered NetworkPolicies: every path that exists, and no other."""

import itertools

import pytest
from tests.support.charts import render
from tests.support.network import Outside, Pod, may_connect
from tests.support.patterns import HOME, PATTERNS, TEAMS

SERVER, SCHEDULER, ENVOY, OPERATOR = (
    "seldon-server", "seldon-scheduler", "seldon-envoy", "seldon-v2-controller-manager",
)  # fmt: skip
ANYBODY = ""
"""A pod of the namespace that is none of Bailie's: somebody's notebook, database, web server."""
COMPONENTS = (SERVER, SCHEDULER, ENVOY, OPERATOR, ANYBODY)
METRICS = {SERVER: {9006, 8082, 8002}, SCHEDULER: {9006}, ENVOY: {9003}, OPERATOR: {9006}}
REQUESTS = {9000, 9500, 9001, 9501}
HANDED_BACK = {9001, 9501}
"""Where Seldon Core's Envoys ask Bailie's while a namespace moves."""
"""Of a server: the server itself, and its agent, which holds requests while a model is loaded."""
PORTS = (80, 443, 5572, 8002, 8082, 9000, 9001, 9002, 9003, 9005, 9006, 9500, 9501, 9901)
API_SERVER, ELSEWHERE = Outside("10.255.0.9"), Outside("203.0.113.7")
NAMESPACES = (HOME, *TEAMS, "stranger", "monitoring")

by_pattern = pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)


def policies_of(manifests):
    return [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]


def exists(source, target, port, served):
    """Whether there is such a path. `served`: the namespaces that each namespace's scheduler serves."""
    component, caller = (each.labels.get("app.kubernetes.io/name", "") for each in (target, source))
    near = source.namespace == target.namespace
    if port in METRICS[component]:
        watches = near and (caller != SERVER or component == OPERATOR)
        return watches or source.namespace == "monitoring"
    if component == ENVOY:
        return port == 9000 or (near and caller == ENVOY and port in HANDED_BACK)
    if component == SERVER:
        return near and caller == ENVOY and port in REQUESTS
    if component == SCHEDULER:
        client = near or source.namespace in served.get(target.namespace, ())
        standby = near and caller == SCHEDULER and port == 9005
        return standby or (client and (caller, port) in {(ENVOY, 9002), (SERVER, 9005)})
    return False


@by_pattern
def test_the_paths_that_exist_are_open_and_no_others(pattern):
    policies = policies_of(pattern.manifests())
    served = {
        home: {team for team, values in pattern.runtimes.items() if values.get("schedulerNamespace") == home}
        for home in pattern.runtimes
    }
    targets = [
        Pod.of(namespace, each) for namespace in pattern.runtimes for each in (SERVER, SCHEDULER, ENVOY)
    ]
    targets.append(Pod.of(pattern.home, OPERATOR))
    sources = [Pod.of(namespace, each) for namespace in NAMESPACES for each in COMPONENTS]
    found = [
        (source, target, port)
        for source, target, port in itertools.product(sources, targets, PORTS)
        if may_connect(policies, source, target, port) != exists(source, target, port, served)
    ]
    assert found == []


@by_pattern
def test_what_is_no_pod_reaches_envoys_and_nothing_else(pattern):
    policies = policies_of(pattern.manifests())
    for namespace, component, port in itertools.product(pattern.runtimes, (SERVER, SCHEDULER, ENVOY), PORTS):
        open_to_all = (component, port) == (ENVOY, 9000)
        assert may_connect(policies, ELSEWHERE, Pod.of(namespace, component), port) == open_to_all


MUST_NOT = {
    "a stranger unloads a model": (Pod.of("stranger"), SERVER, 9000),
    "a stranger infers past Envoy": (Pod.of("stranger"), SERVER, 9500),
    "a stranger asks a held port": (Pod.of("stranger"), SERVER, 9001),
    "a stranger asks a held port by gRPC": (Pod.of("stranger"), SERVER, 9501),
    "a stranger reads who is loaded": (Pod.of("stranger"), SERVER, 8082),
    "a stranger reads an agent's metrics": (Pod.of("stranger"), SERVER, 9006),
    "a stranger asks why": (Pod.of("stranger"), SCHEDULER, 9006),
    "a stranger tries tokens as an agent": (Pod.of("stranger"), SCHEDULER, 9005),
    "a stranger tries tokens as an Envoy": (Pod.of("stranger"), SCHEDULER, 9002),
    "a stranger reads routes": (Pod.of("stranger"), ENVOY, 9003),
    "a stranger reaches Envoy's admin port": (Pod.of("stranger"), ENVOY, 9901),
    "a neighbour's Envoy takes our models": (Pod.of("team-b", ENVOY), SERVER, 9000),
    "a neighbour's Envoy takes our models by gRPC": (Pod.of("team-b", ENVOY), SERVER, 9500),
    "a neighbour's Envoy takes our routes": (Pod.of("team-b", ENVOY), SCHEDULER, 9002),
    "a neighbour's model reaches our server": (Pod.of("team-b", SERVER), SERVER, 9000),
    "a neighbour's agent reports here": (Pod.of("team-b", SERVER), SCHEDULER, 9005),
    "a neighbour's scheduler calls ours": (Pod.of("team-b", SCHEDULER), SCHEDULER, 9005),
    "our own model reaches a server's repository": (Pod.of("team-a", SERVER), SERVER, 9000),
    "our own model asks a held port": (Pod.of("team-a", SERVER), SERVER, 9001),
    "our own model takes routes": (Pod.of("team-a", SERVER), SCHEDULER, 9002),
    "our own model takes the places of an Envoy's probes": (Pod.of("team-a", SERVER), ENVOY, 9003),
    "our own model asks the scheduler why": (Pod.of("team-a", SERVER), SCHEDULER, 9006),
    "our own model reads another one's metrics": (Pod.of("team-a", SERVER), SERVER, 8082),
    "a notebook of the namespace unloads a model": (Pod.of("team-a"), SERVER, 9000),
    "a notebook of the namespace is an agent": (Pod.of("team-a"), SCHEDULER, 9005),
    "a notebook of the namespace is an Envoy": (Pod.of("team-a"), SCHEDULER, 9002),
    "monitoring infers": (Pod.of("monitoring"), SERVER, 9000),
    "monitoring is an agent": (Pod.of("monitoring"), SCHEDULER, 9005),
    "another monitoring": (Pod("stranger", {"kubernetes.io/metadata.name": "monitoring"}), SERVER, 9006),
    "the world reaches a server": (ELSEWHERE, SERVER, 9000),
    "the world asks why": (ELSEWHERE, SCHEDULER, 9006),
    "the API server asks why, unless it is told where it is": (API_SERVER, SCHEDULER, 9006),
    "a port that nobody has": (Pod.of("team-a", ENVOY), SERVER, 22),
}


@pytest.mark.parametrize("path", MUST_NOT.values(), ids=MUST_NOT)
def test_paths_that_must_not_be(path):
    source, component, port = path
    [scoped] = [pattern for pattern in PATTERNS if pattern.name == "3-scoped"]
    assert not may_connect(policies_of(scoped.manifests()), source, Pod.of("team-a", component), port)


@pytest.mark.parametrize("served", [["team-a"], ["*"]], ids=["named", "all"])
def test_a_central_scheduler_is_open_to_those_whom_it_may_serve(served):
    policies = policies_of(render("runtime", {"servesNamespaces": served}, namespace=HOME).manifests)
    scheduler = Pod.of(HOME, SCHEDULER)
    for team in TEAMS:
        let = team in served or "*" in served
        assert may_connect(policies, Pod.of(team, ENVOY), scheduler, 9002) is let
        assert may_connect(policies, Pod.of(team, SERVER), scheduler, 9005) is let
        assert not may_connect(policies, Pod.of(team), scheduler, 9005)
        assert not may_connect(policies, Pod.of(team, SERVER), scheduler, 9006)
        assert not may_connect(policies, Pod.of(team, ENVOY), Pod.of(HOME, SERVER), 9000)


def test_the_api_server_may_ask_the_scheduler_where_it_is_named():
    values = {"networkPolicies": {"apiServer": ["10.255.0.0/28"]}}
    policies = policies_of(render("runtime", values, namespace="team-a").manifests)
    assert may_connect(policies, API_SERVER, Pod.of("team-a", SCHEDULER), 9006)
    assert not may_connect(policies, ELSEWHERE, Pod.of("team-a", SCHEDULER), 9006)
    assert not may_connect(policies, API_SERVER, Pod.of("team-a", SERVER), 9000)


def test_who_monitors_is_a_value():
    values = {"networkPolicies": {"monitoring": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]}}
    for chart, component in (("runtime", SERVER), ("setup", OPERATOR)):
        policies = policies_of(render(chart, values, namespace="team-a").manifests)
        assert not may_connect(policies, Pod.of("monitoring"), Pod.of("team-a", component), 9006)


def test_they_can_be_left_out():
    for chart in ("setup", "runtime"):
        assert policies_of(render(chart, {"networkPolicies": {"enabled": False}}).manifests) == []


def test_every_port_of_the_pods_is_thought_of():
    """A port that is new in a pod is to be in this file, as a path or as none."""
    for manifest in render("setup").manifests:
        spec = manifest.get("spec", {})
        templates = [each["podSpec"] for each in spec.get("components", ())] + [spec.get("podSpec", {})]
        templates.append(spec.get("template", {}).get("spec", {}))
        for container in itertools.chain(*(each.get("containers", ()) for each in templates)):
            assert {port["containerPort"] for port in container["ports"]} <= set(PORTS)
