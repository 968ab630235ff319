"""Every podSpec gives an object or Problems with the path of the mistake, whatever JSON it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from tests.support.anyjson import ANYTHING, changed
from tests.support.manifests import manifest_of

from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.manifests.defaults import mlserver_config, seldon_config

KINDS = (Server, ServerConfig, SeldonConfig, SeldonRuntime)
AMOUNT = '"much" is no quantity; write a number with a unit, such as 500Mi or 1.5G'
WRONG = {
    "a container without anything": ({"containers": [{}]}, "containers[0].name: is required"),
    "a list for a container": ({"containers": [[]]}, "containers[0]: must be an object, not a list"),
    "a text for containers": ({"containers": "x"}, 'containers: must be a list, not "x"'),
    "null for a volume": ({"volumes": [None]}, "volumes[0]: must be an object, not null"),
    "a list for a name": (
        {"containers": [{"name": ["x"]}]},
        "containers[0].name: must be a string, not a list",
    ),
    "a number for a value": (
        {"containers": [{"name": "c", "env": [{"name": "A", "value": 5}]}]},
        "containers[0].env[0].value: must be a string, not 5",
    ),
    "a text for a user": (
        {"securityContext": {"runAsUser": "0"}},
        'securityContext.runAsUser: must be an integer, not "0"',
    ),
    "no amount": (
        {"containers": [{"name": "c", "resources": {"limits": {"cpu": "much"}}}]},
        f'containers[0].resources.limits.cpu: {AMOUNT}',
    ),
    "a port beyond": (
        {"containers": [{"name": "c", "ports": [{"containerPort": 70000}]}]},
        "containers[0].ports[0].containerPort: must be at most 65535, not 70000",
    ),
    "an object for a probe's port": (
        {"initContainers": [{"name": "c", "startupProbe": {"httpGet": {"port": {}}}}]},
        "initContainers[0].startupProbe.httpGet.port: must be an integer or a string",
    ),
    "a word that no pull of an image has": (
        {"containers": [{"name": "c", "imagePullPolicy": "always"}]},
        "containers[0].imagePullPolicy: must be '', 'Always', 'IfNotPresent' or 'Never', not \"always\"",
    ),
    "a protocol that no port has": (
        {"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "HTTP"}]}]},
        "containers[0].ports[0].protocol: must be '', 'TCP', 'UDP' or 'SCTP', not \"HTTP\"",
    ),
    "a text for a selector": ({"nodeSelector": {"a": 1}}, "nodeSelector.a: must be a string, not 1"),
    "a text for a flag": ({"hostPID": "yes"}, 'hostPID: must be true or false, not "yes"'),
    "containers of kubectl debug": (
        {"ephemeralContainers": []},
        "ephemeralContainers: may not be given here: Kubernetes adds them to pods that run (kubectl debug)",
    ),
}  # fmt: skip
GOOD = {
    "amounts": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5, "nvidia.com/gpu": 1}}}]},
    "a hook of a new kind": {"containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGTERM"}}]},
    "fields that Bailie does not know": {"dnsConfig": {"ports": [1, "a", None]}, "resourceClaims": [{}]},
}
_SPECS = {
    Server: {"serverConfig": "mlserver", "podSpec": {}},
    ServerConfig: mlserver_config("a", image="i", server_image="s")["spec"]
    | {"volumeClaimTemplates": [{"name": "models", "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]},
    SeldonConfig: seldon_config("a", image="i")["spec"],
    SeldonRuntime: {"seldonConfig": "default", "overrides": [{"name": "seldon-envoy", "podSpec": {}}]},
}


def _problems(kind, spec):
    parsed, problems = kind.parse(manifest_of(kind.resource_kind.kind, "x", spec))
    assert (parsed is None) == any(problem.reason != "NoEffect" for problem in problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(("pod", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_place(pod, problem):
    assert _problems(Server, {"serverConfig": "mlserver", "podSpec": pod}) == [f"spec.podSpec.{problem}"]
    assert _problems(ServerConfig, {"podSpec": pod}) == [f"spec.podSpec.{problem}"]
    override = [{"name": "seldon-envoy", "podSpec": pod}]
    at = f"spec.overrides[0].podSpec.{problem}"
    assert _problems(SeldonRuntime, {"seldonConfig": "default", "overrides": override}) == [at]
    assert _problems(SeldonConfig, {"components": override}) == [at.replace("overrides", "components")]


@pytest.mark.parametrize("pod", GOOD.values(), ids=GOOD)
def test_what_is_kubernetes_business_is_let_through(pod):
    assert _problems(Server, {"serverConfig": "mlserver", "podSpec": pod}) == []


def test_claims_have_a_shape_too():
    claims = [{"name": "A_", "spec": {"resources": {"requests": ["1Gi"]}}}]
    name, resources = _problems(ServerConfig, {"podSpec": {}, "volumeClaimTemplates": claims})
    assert name.startswith('spec.volumeClaimTemplates[0].name: "A_" is no DNS label')
    at = "spec.volumeClaimTemplates[0].spec.resources.requests"
    assert resources == f"{at}: must be an object, not a list"


@pytest.mark.parametrize(("field", "value"), [("accessModes", ["RWO"]), ("volumeMode", "Files")])
def test_a_claim_that_no_cluster_makes_is_refused(field, value):
    claims = [{"name": "models", "spec": {field: value}}]
    [problem] = _problems(ServerConfig, {"podSpec": {}, "volumeClaimTemplates": claims})
    assert problem.startswith(f"spec.volumeClaimTemplates[0].spec.{field}")


def test_what_is_too_deep_is_refused_before_anything_goes_down_into_it():
    pod = {}
    for _ in range(5000):
        pod = {"containers": pod}
    expected = "objects and lists are more than 64 levels deep"
    assert _problems(Server, {"serverConfig": "mlserver", "podSpec": pod}) == [expected]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_any_json_is_an_object_or_problems(kind):
    @given(spec=changed(_SPECS[kind], places=4) | ANYTHING)
    def check(spec):
        _problems(kind, spec)

    check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_bailie_ships_is_good(kind):
    assert _problems(kind, _SPECS[kind]) == []
