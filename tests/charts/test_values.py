"""What every documented value changes, and which values are refused in which words.

`golden/values-<chart>.yaml` has for each value the lines that differ from an install without it.
"""

from base64 import b64decode

import pytest
from tests.support.charts import refusal, render

import charts
from chartgen.values import honoured, ignored

WIDE = {"controller": {"clusterwide": True}}
LONG = "0123456789abcdef0123456789abcdef"
ONLY_ONE = {"security.controlplane.protocol", "security.kafka.protocol", "security.envoy.protocol"}
"""Values that may be given and have one meaning."""
EXAMPLES = {
    "serverConfig.agent.hungServerSeconds": "17",
    "controller.watchNamespaces": ["team-a"],
    "controller.namespaceSelector": "serves-models=yes",
    "controller.securityContext": {"runAsUser": 2000},
    "scheduler.securityContext": {"runAsUser": 2000},
    "envoy.securityContext": {"runAsUser": 2000},
    "serverConfig.securityContext": {"runAsUser": 2000},
    "imagePullSecrets": [{"name": "registry"}],
    "security.controlplane.token.existingSecret": "our-token",
    "security.controlplane.token.value": LONG,
    "rights.create": False,
    "controller.podPermissions.allow": ["host", "root"],
    "controller.podPermissions.serviceAccounts": ["reader", "writer"],
    "servesNamespaces": ["team-a", "team-b"],
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
BESIDE = {
    "controller.namespaceSelector": WIDE,
    "controller.skipClusterRoleCreation": WIDE,
    "controller.skipOperatorClusterRoleCreation": WIDE,
}
"""What else must be given for a value to mean anything."""


@pytest.mark.parametrize("chart", charts.ROWS)
def test_what_each_value_changes(golden, chart):
    found = {}
    for value in honoured(charts.ROWS[chart]):
        beside = BESIDE.get(value.path, {})
        given = _nested(value.path, example(value), beside)
        found[value.path] = changes(leaves(render(chart, beside)), leaves(render(chart, given)))
    assert {path for path, lines in found.items() if not lines} == ONLY_ONE & set(found)
    golden.check(f"values-{chart}", found)


@pytest.mark.parametrize("chart", charts.ROWS)
def test_what_has_no_effect_is_accepted_and_said(chart):
    keys = ignored(charts.ROWS[chart])
    values = {}
    for path in keys:
        values = _nested(path, "x", values)
    rendered = render(chart, values)
    assert changes(leaves(render(chart)), leaves(rendered)) == []
    assert [path for path in keys if f"  {path}: has no effect; " not in rendered.notes] == []
    assert "no effect" not in render(chart).notes


def scope(*names, **more):
    return {"controller": {"watchNamespaces": list(names), **more}}


REFUSED = [
    ("setup", {"controler": {}}, "additional properties 'controler' not allowed"),
    ("setup", {"scheduler": {"replica": 2}}, "additional properties 'replica' not allowed"),
    ("setup", {"controller": {"clusterwide": "yes"}}, "want boolean"),
    ("setup", {"logging": {"logLevel": "loud"}}, "value must be one of"),
    ("setup", {"security": {"controlplane": {"protocol": "SSL"}}}, "value must be 'PLAINTEXT'"),
    ("setup", scope("a", ""), "controller.watchNamespaces[1] is blank; remove the superfluous comma."),
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
        "setup",
        {"scheduler": {"image": {"repository": "seldonio/seldon-scheduler"}}},
        "one of Seldon Core's components",
    ),
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
        "value must be one of 'host', 'volumes'",
    ),
    ("runtime", {"servesNamespaces": ["team-*"]}, "'team-*' does not match pattern"),
    ("runtime", {"networkPolicies": {"apiServer": ["10.0.0.1"]}}, "'10.0.0.1' does not match pattern"),
    ("runtime", {"networkPolicies": {"enable": False}}, "additional properties 'enable' not allowed"),
    ("runtime", {"scheduler": {"replicas": -1}}, "minimum: got -1, want 0"),
    ("runtime", {"envoy": {"serviceType": "Ingress"}}, "value must be one of"),
    ("servers", {"mlserver": {"maxReplicas": 2, "replicas": 3}}, "mlserver.replicas is 3, above"),
    ("servers", {"mlserver": {"minReplicas": 2}}, "mlserver.replicas is 1, below mlserver.minReplicas"),
    (
        "servers",
        {"triton": {"minReplicas": 3, "maxReplicas": 2, "replicas": 3}},
        "triton.minReplicas is 3, above triton.maxReplicas, which is 2.",
    ),
]


@pytest.mark.parametrize(("chart", "values", "sentence"), REFUSED)
def test_values_that_cannot_be_are_refused(chart, values, sentence):
    assert sentence in refusal(chart, values)


@pytest.mark.parametrize("replicas", [0, 3])
def test_replicas_alone_are_enough(replicas):
    spec = render("servers", {"mlserver": {"replicas": replicas}}).one("Server", "mlserver")["spec"]
    assert spec["replicas"] == replicas
    assert "maxReplicas" not in spec


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
    schema, default = value.schema, value.default
    if value.path in EXAMPLES:
        found = EXAMPLES[value.path]
    elif "enum" in schema:
        others = [item for item in schema["enum"] if item not in {"", default, "info", "IfNotPresent"}]
        found = others[0] if others else default
    elif isinstance(default, bool):
        found = not default
    elif isinstance(default, int):
        found = default + 2
    elif isinstance(default, dict):
        found = {"example": "x"}
    elif isinstance(default, list) and schema.get("items") == {"type": "string"}:
        found = ["example"]
    elif "pattern" in schema:
        found = "7" if default.isdecimal() else "7Mi"
    else:
        found = "example"
    return found


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


def _nested(path, value, beside):
    key, _, rest = path.partition(".")
    within = beside.get(key, {})
    return {**beside, key: _nested(rest, value, within) if rest else value}
