"""What every documented value changes, which have no effect, and which are refused in which words.

`golden/values-<chart>.yaml` has for each value the lines that differ from an install without it.
"""

import json
from base64 import b64decode
from functools import cache

import pytest
from tests.support.charts import refusal, render

import charts
from chartgen.values import honoured, ignored

WIDE = {"controller": {"clusterwide": True}}
MONITORED = {"monitoring": {"enabled": True}}
LONG = "0123456789abcdef0123456789abcdef"
ONLY_ONE = {"security.controlplane.protocol", "security.envoy.protocol"}
"""Values that may be given and have one meaning."""
EXAMPLES = {
    "kafka.bootstrap": "kafka-a:9092,kafka-b:9092",
    "kafka.consumer": {"sessionTimeoutMs": 6000, "auto.offset.reset": "earliest"},
    "kafka.producer": {"messageMaxBytes": 1000000000, "compressionType": "lz4"},
    "kafka.topics": {"numPartitions": {"type": "int", "intVal": 4}, "replicationFactor": 3},
    "config.kafkaConfig.topics": {"numPartitions": "4"},
    "config.kafkaConfig.consumer": {"sessionTimeoutMs": 6000},
    "config.kafkaConfig.producer": {"linger.ms": 0},
    "security.kafka.protocol": "SSL",
    "security.kafka.sasl.mechanism": "PLAIN",
    "security.kafka.sasl.client.username": "$ConnectionString",
    "security.kafka.sasl.client.secret": "other",
    "security.kafka.ssl.client.endpointIdentificationAlgorithm": "none",
    "envoy.accesslogPath": "/tmp/requests.log",
    "serverConfig.agent.hungServerSeconds": 17,
    "controller.watchNamespaces": ["team-a"],
    "controller.namespaceSelector": "serves-models=yes",
    "controller.securityContext": {"runAsUser": 2000},
    "scheduler.securityContext": {"runAsUser": 2000},
    "envoy.securityContext": {"runAsUser": 2000},
    "serverConfig.securityContext": {"runAsUser": 2000},
    "imagePullSecrets": [{"name": "registry"}],
    "controller.tolerations": [{"key": "reserved", "operator": "Exists"}],
    "security.controlplane.token.existingSecret": "our-token",
    "security.controlplane.token.value": LONG,
    "rights.create": False,
    "controller.podPermissions.allow": ["host", "root"],
    "security.payloadSinks": ["payloads.logging", "*.observed"],
    "controller.podPermissions.serviceAccounts": ["reader", "writer"],
    "servesNamespaces": ["team-a", "team-b"],
    "monitoring.interval": "45s",
    "networkPolicies.monitoring": [{"namespaceSelector": {"matchLabels": {"name": "metrics"}}}],
    "networkPolicies.apiServer": ["10.0.0.0/28", "fd00::/64"],
    "serverConfig.agent.localRoots": ["/mnt/models", "/mnt/claims"],
    "serverConfig.agent.allowedNetworks": ["10.1.0.0/16"],
    "config.agentConfig.rclone.configSecrets": ["buckets"],
    "mlserver.minReplicas": 1,
    "mlserver.maxReplicas": 3,
    "triton.minReplicas": 1,
    "triton.maxReplicas": 3,
}
TOKENS = {43: "(drawn at random)", 64: "(derived)"}
"""By their lengths."""
BROKER = {"kafka": {"bootstrap": "kafka:9092"}}
SASL = {"security": {"kafka": {"protocol": "SASL_SSL", "sasl": {"client": {"secret": "login"}}}}}
BESIDE = {
    **dict.fromkeys(
        (
            "kafka.topicPrefix",
            "kafka.consumerGroupIdPrefix",
            "kafka.debug",
            "kafka.consumer",
            "kafka.producer",
            "kafka.topics",
        ),
        BROKER,
    ),
    "security.kafka.sasl.client.secret": {"security": {"kafka": {"protocol": "SASL_SSL"}}},
    **dict.fromkeys(
        (
            "security.kafka.sasl.mechanism",
            "security.kafka.sasl.client.username",
            "security.kafka.sasl.client.passwordPath",
            "security.kafka.ssl.client.secret",
            "security.kafka.ssl.client.brokerValidationSecret",
            "security.kafka.ssl.client.keyPath",
            "security.kafka.ssl.client.crtPath",
            "security.kafka.ssl.client.caPath",
            "security.kafka.ssl.client.brokerCaPath",
            "security.kafka.ssl.client.endpointIdentificationAlgorithm",
        ),
        SASL,
    ),
    "controller.namespaceSelector": WIDE,
    "controller.skipClusterRoleCreation": WIDE,
    "controller.skipOperatorClusterRoleCreation": WIDE,
    "monitoring.labels": MONITORED,
    "monitoring.interval": MONITORED,
    "monitoring.modelTimes": MONITORED,
    "monitoring.errorPercent": MONITORED,
    "monitoring.slowSeconds": MONITORED,
    "monitoring.dashboards.labels": MONITORED,
    "monitoring.dashboards.annotations": MONITORED,
}
"""What else must be given for a value to mean anything."""


def usual(chart, path=""):
    """Returns what is rendered without the key, with what else it needs."""
    return _usual(chart, json.dumps(BESIDE.get(path, {})))


@cache
def _usual(chart, values):
    return leaves(render(chart, json.loads(values)))


@pytest.mark.parametrize("chart", charts.ROWS)
def test_what_each_value_changes(golden, chart):
    found = {}
    for value in honoured(charts.ROWS[chart]):
        beside = BESIDE.get(value.path, {})
        given = nested(value.path, example(value), beside)
        found[value.path] = changes(usual(chart, value.path), leaves(render(chart, given)))
    assert {path for path, lines in found.items() if not lines} == ONLY_ONE & set(found)
    golden.check(f"values-{chart}", found)


@pytest.mark.parametrize("chart", charts.ROWS)
def test_what_has_no_effect_is_accepted_and_said(chart):
    for row in ignored(charts.ROWS[chart]):
        for path in row.paths():
            rendered = render(chart, nested(path, "x", {}))
            assert changes(usual(chart), leaves(rendered)) == []
            assert f"these values have no effect:\n  {path}: {row.told or row.why}." in rendered.notes
    assert "no effect" not in render(chart).notes


@pytest.mark.parametrize("chart", charts.ROWS)
def test_keys_without_effect_lie_directly_beside_those_with_one(chart):
    """The notes look for them there: where a path leaves those that lead to a key with an effect."""
    rows = charts.ROWS[chart]
    paths = {row.path for row in honoured(rows)}
    branches = {path.rsplit(".", depth)[0] for path in paths for depth in range(1, path.count(".") + 1)}
    beside = {row.path for row in ignored(rows)}
    assert not beside & (paths | branches)
    assert {path.rpartition(".")[0] for path in beside} <= branches | {""}
    assert not paths & branches


UNKNOWN = "no keys of this chart; are they spelt as its README has them"
FOLDED = [
    ("setup", {"controler": {"replicas": 2}}, f"  controler.replicas: {UNKNOWN}."),
    ("setup", {"controler": {"a": 2, "b": {"c": 3, "d": [1]}}}, f"  controler.* (3 keys): {UNKNOWN}."),
    ("setup", {"scheduler": {"replica": 2, "replics": 2}}, f"  scheduler (2 of its keys): {UNKNOWN}."),
    ("setup", {"aKey": 1, "another": False}, f"  aKey, another: {UNKNOWN}."),
    (
        "setup",
        {"kafka": {"streams": {"anything": 1}}},
        "  kafka.streams.anything: Bailie decides this itself",
    ),
    (
        "setup",
        {"modelgateway": {"workers": 3, "maxNumConsumers": 4}, "hodometer": {"disable": True}},
        "  hodometer.disable, modelgateway.* (2 keys): Bailie has no such component.",
    ),
    (
        "setup",
        {"security": {"kafka": {"ssl": {"secret": {"anything": "x"}}}}},
        "  security.kafka.ssl.secret.anything: Bailie decides this itself",
    ),
    ("runtime", {"networkPolicies": {"enable": False}}, f"  networkPolicies.enable: {UNKNOWN}."),
    ("runtime", {"config": {"kafkaConfig": {"new": {"x": 1}}}}, f"  config.kafkaConfig.new.x: {UNKNOWN}."),
    ("servers", {"mlserver": {"replica": 2}}, f"  mlserver.replica: {UNKNOWN}."),
]


@pytest.mark.parametrize(("chart", "values", "line"), FOLDED)
def test_keys_without_effect_are_folded_by_their_parents(chart, values, line):
    assert line in render(chart, values).notes


@pytest.mark.parametrize("empty", [None, "", {}, []])
def test_an_empty_key_without_effect_is_not_named(empty):
    values = {
        "kafka": empty,
        "modelgateway": empty,
        "security": {"schemaRegistry": {"configPath": empty}},
        "scheduler": {"unknown": empty},
    }
    assert "no effect" not in render("setup", values).notes


def scope(*names, **more):
    return {"controller": {"watchNamespaces": list(names), **more}}


REFUSED = [
    (
        "setup",
        {"controller": {"clusterwide": "perhaps"}},
        'controller.clusterwide is "perhaps"; give true or false.',
    ),
    (
        "setup",
        {"controller": {"clusterwide": [True, False]}},
        "controller.clusterwide is a list; give true or false.",
    ),
    ("setup", {"controller": "all"}, 'controller is "all"; give a map of its keys.'),
    (
        "setup",
        {"logging": {"logLevel": "loud"}},
        'logging.logLevel is "loud"; give one of trace, debug, info,',
    ),
    ("setup", {"controller": {"replicas": 0}}, 'controller.replicas is "0"; give a whole number, 1 or more.'),
    ("setup", {"controller": {"replicas": "2.5"}}, 'controller.replicas is "2.5"; give a whole number'),
    (
        "setup",
        {"controller": {"labels": {"a": {"b": "c"}}}},
        "controller.labels.a is a map; give a map of texts.",
    ),
    (
        "setup",
        {"controller": {"affinity": "none"}},
        'controller.affinity is "none"; give a map, as in Kubernetes.',
    ),
    (
        "setup",
        {"controller": {"tolerations": ["all"]}},
        "controller.tolerations is a list; give a list of maps",
    ),
    (
        "setup",
        {"imagePullSecrets": [{"secret": "x"}]},
        "imagePullSecrets is a list; give a list of `{name: …}`.",
    ),
    (
        "setup",
        {"envoy": {"resources": {"memory": "1 GB"}}},
        'resources.memory is "1 GB"; give a quantity such as',
    ),
    (
        "setup",
        {"envoy": {"accesslogPath": "/var/log/envoy/requests.log"}},
        'envoy.accesslogPath is "/var/log/envoy/requests.log"; give /dev/stdout, /dev/stderr or a file',
    ),
    ("setup", {"envoy": {"accesslogPath": "/tmp/../etc/passwd"}}, "give /dev/stdout, /dev/stderr or a file"),
    ("setup", {"envoy": {"maxRequestsPerReplica": 10**9}}, "give a whole number from 1 to "),
    (
        "setup",
        {"security": {"envoy": {"protocol": "SSL"}}},
        'security.envoy.protocol is "SSL"; give PLAINTEXT: Bailie\'s own connections have no TLS',
    ),
    (
        "setup",
        {"security": {"controlplane": {"protocol": "SSL"}}},
        'security.controlplane.protocol is "SSL"; give PLAINTEXT: Bailie\'s own connections have no TLS',
    ),
    (
        "setup",
        {"controller": {"clusterwide": True, "watchNamespace": ["a"]}},
        "controller.watchNamespace is no key of this chart, and without a list the operator would get rights",
    ),
    (
        "setup",
        {"watchNamespaces": "a", "controller": {"clusterwide": True}},
        "watchNamespaces is no key of this chart, and without a list",
    ),
    ("setup", scope("a", ""), "controller.watchNamespaces[1] is blank; remove the superfluous comma."),
    ("setup", scope(None, clusterwide=True), "controller.watchNamespaces[0] is blank"),
    (
        "setup",
        {"controller": {"clusterwide": True, "watchNamespaces": " , "}},
        "controller.watchNamespaces[0] is blank",
    ),
    ("setup", scope("a", "a"), 'controller.watchNamespaces[1]: "a" is in the list already.'),
    ("setup", scope("team-*"), '"team-*" is a pattern; name each namespace, patterns grant too much.'),
    ("setup", scope("!a"), "is a pattern"),
    ("setup", scope("Team_A"), '"Team_A" cannot be a namespace'),
    ("setup", scope("a" * 64), "at most 63 characters"),
    ("setup", scope("a", namespaceSelector="x=y"), "An operator with a list may not read namespaces."),
    ("setup", scope(namespaceSelector="x=y"), "give it with controller.clusterwide=true"),
    (
        "setup",
        {"security": {"controlplane": {"token": {"existingSecret": "x", "value": LONG}}}},
        "existingSecret and value contradict each other; give one of them.",
    ),
    ("setup", {"security": {"controlplane": {"token": {"value": "x"}}}}, "too short to be secret"),
    (
        "runtime",
        {
            "schedulerNamespace": "platform",
            "security": {"controlplane": {"token": {"existingSecret": "ours"}}},
        },
        "give the Secret of security.controlplane.token.existingSecret that name.",
    ),
    (
        "setup",
        {"controller": {"podPermissions": {"allow": ["hosts"]}}},
        'controller.podPermissions.allow[0] is "hosts"; give a list of these words.',
    ),
    (
        "runtime",
        {"servesNamespaces": ["team-*"]},
        'servesNamespaces[0] is "team-*"; give names of namespaces, or *.',
    ),
    (
        "runtime",
        {"networkPolicies": {"apiServer": ["10.0.0.0/8", "10.0.0.1"]}},
        'networkPolicies.apiServer[1] is "10.0.0.1"; give networks such as 10.0.0.0/28.',
    ),
    (
        "runtime",
        {"scheduler": {"replicas": -1}},
        'scheduler.replicas is "-1"; give a whole number, 0 or more.',
    ),
    ("runtime", {"envoy": {"serviceType": "Ingress"}}, "give one of ClusterIP, NodePort, LoadBalancer."),
    ("runtime", {"scheduler": {"podSpec": "x"}}, 'scheduler.podSpec is "x"; give a map, as in Kubernetes.'),
]


@pytest.mark.parametrize(("chart", "values", "sentence"), REFUSED)
def test_values_that_cannot_be_are_refused(chart, values, sentence):
    assert sentence in refusal(chart, values)


@pytest.mark.parametrize("replicas", [0, 3])
def test_replicas_alone_are_enough(replicas):
    spec = render("servers", {"mlserver": {"replicas": replicas}}).one("Server", "mlserver")["spec"]
    assert spec["replicas"] == replicas
    assert "maxReplicas" not in spec


AGREEING = [
    (
        {"replicas": 3, "minReplicas": 1, "maxReplicas": 1},
        (3, 1, 3),
        "mlserver.maxReplicas is 3, not 1, so that",
    ),
    ({"minReplicas": 2}, (2, 2, None), "mlserver.replicas is 2, not 1, so that"),
    ({"replicas": 0, "minReplicas": 3, "maxReplicas": 2}, (3, 3, 3), "mlserver.replicas is 3, not 0"),
    ({"replicas": 0, "minReplicas": 0, "maxReplicas": 4}, (0, 0, 4), ""),
    ({"replicas": "2", "maxReplicas": "4"}, (2, None, 4), ""),
]


@pytest.mark.parametrize(("given", "found", "said"), AGREEING)
def test_numbers_of_replicas_are_made_to_agree_and_that_is_said(given, found, said):
    rendered = render("servers", {"mlserver": given})
    spec = rendered.one("Server", "mlserver")["spec"]
    assert (spec["replicas"], spec.get("minReplicas"), spec.get("maxReplicas")) == found
    assert said in rendered.notes
    assert ("agree" in rendered.notes) == bool(said)


SIZES = [
    ({"memory": "4Gi"}, "4Gi", {"memory": "4Gi"}),
    ({"memory": "128Mi", "limits": {"memory": "2G", "cpu": 2}}, "128Mi", {"memory": "2G", "cpu": "2"}),
    ({"cpu": "1500m", "limits": {"cpu": "1"}}, "256Mi", {"memory": "1Gi", "cpu": "1500m"}),
    ({"memory": 2147483648}, "2147483648", {"memory": "2147483648"}),
    ({"memory": "1e9"}, "1e9", {"memory": "1Gi"}),
]


@pytest.mark.parametrize(("given", "requested", "limits"), SIZES)
def test_no_limit_is_below_what_is_requested(given, requested, limits):
    config = render("setup", {"scheduler": {"resources": given}}).one("SeldonConfig", "default")
    [scheduler] = config["spec"]["components"][0]["podSpec"]["containers"]
    assert scheduler["resources"]["requests"]["memory"] == requested
    assert scheduler["resources"]["limits"] == limits


def test_a_derived_token_is_another_one_in_each_namespace():
    values = scope("a", "b") | {"security": {"controlplane": {"token": {"value": LONG}}}}
    first, again = (
        {s["metadata"]["namespace"]: s["data"]["token"] for s in render("setup", values).of("Secret")}
        for _ in range(2)
    )
    assert first == again
    assert first["a"] != first["b"]
    runtime = render("runtime", {"security": values["security"]}, namespace="a")
    assert runtime.one("Secret", "seldon-control-plane")["data"]["token"] == first["a"]


def example(value):
    """Returns something that the value may be and is not."""
    others = [item for item in value.kind.choices if item not in ("info", "IfNotPresent", value.default)]
    by_kind = {
        "choice": others[0] if others else value.default,
        "flag": not value.default,
        "count": (value.default or 0) + 2 if value.kind.name == "count" else 0,
        "map": {"example": "x"},
        "object": {"example": "x"},
        "texts": ["example"],
        "quantity": "7" if value.path.endswith(".cpu") else "7Gi",
    }
    return EXAMPLES.get(value.path, by_kind.get(value.kind.name, "example"))


def leaves(rendered):
    """Returns every leaf of every object by its path; of a token only where it comes from."""
    found = {}
    for name, manifest in zip(rendered.names(), rendered.manifests, strict=True):
        found |= dict(_leaves(name, manifest))
    tokens = [path for path in found if path.endswith("seldon-control-plane.data.token")]
    return found | {path: TOKENS[len(b64decode(found[path]))] for path in tokens}


def _leaves(path, node):
    if isinstance(node, dict) and node:
        for key, member in node.items():
            yield from _leaves(f"{path}.{key}", member)
    elif isinstance(node, list) and node:
        for index, member in enumerate(node):
            name = member.get("name", index) if isinstance(member, dict) else index
            yield from _leaves(f"{path}[{name}]", member)
    else:
        yield path, node


def changes(before, after):
    """Returns the difference as lines; objects that come or go are one line each."""
    objects = {path.partition(".")[0] for path in before}, {path.partition(".")[0] for path in after}
    lines = [f"- {name}" for name in sorted(objects[0] - objects[1])]
    lines += [f"+ {name}" for name in sorted(objects[1] - objects[0])]
    for path in sorted({*before, *after}):
        if path.partition(".")[0] in objects[0] & objects[1] and before.get(path) != after.get(path):
            lines.append(f"{path}: {before.get(path)!r} -> {after.get(path)!r}")
    return lines


def nested(path, value, beside):
    key, _, rest = path.partition(".")
    within = beside.get(key, {})
    return {**beside, key: nested(rest, value, within) if rest else value}
