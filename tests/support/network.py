"""Evaluates NetworkPolicies as Kubernetes defines them: who may connect to which port of which pod.

Rules: a pod that no policy selects takes all connections; one that is selected takes what one of the policies
allows; a peer's namespaceSelector and podSelector both have to match, and without the first the namespace is
the policy's own. A pod always reaches itself, and the kubelet the pods of its machine.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
_OPERATORS = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
}


@dataclass(frozen=True)
class Pod:
    """A pod by what policies know of it. Every namespace carries its name as a label."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    address: str = "10.1.0.1"

    @classmethod
    def of(cls, namespace: str, component: str = "") -> Pod:
        return cls(namespace, {"app.kubernetes.io/name": component} if component else {})


@dataclass(frozen=True)
class Outside:
    """What is no pod: a machine, the API server, a client of a load balancer."""

    address: str


def may_connect(policies: list[Manifest], source: Pod | Outside, target: Pod, port: int) -> bool:
    """Says whether a TCP connection to the pod's port is let through."""
    applying = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == target.namespace
        and "Ingress" in policy["spec"]["policyTypes"]
        and _matches(policy["spec"]["podSelector"], target.labels)
    ]
    rules = [rule for policy in applying for rule in policy["spec"].get("ingress", ())]
    namespace = target.namespace
    return not applying or any(_takes(rule, source, port, namespace) for rule in rules)


def _takes(rule: Manifest, source: Pod | Outside, port: int, namespace: str) -> bool:
    ports, peers = rule.get("ports"), rule.get("from")
    return (not ports or any(_is_port(each, port) for each in ports)) and (
        not peers or any(_is_peer(each, source, namespace) for each in peers)
    )


def _is_port(stated: Manifest, port: int) -> bool:
    assert isinstance(stated["port"], int), "named ports depend on the container"
    return stated.get("protocol", "TCP") == "TCP" and stated["port"] <= port <= stated.get(
        "endPort", stated["port"]
    )


def _is_peer(peer: Manifest, source: Pod | Outside, namespace: str) -> bool:
    assert peer, "an empty peer is refused by the API"
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        address = ipaddress.ip_address(source.address)
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(each) for each in block.get("except", ())
        )
    if isinstance(source, Outside):
        return False
    place = {"kubernetes.io/metadata.name": source.namespace}
    if "namespaceSelector" in peer:
        there = _matches(peer["namespaceSelector"], place)
    else:
        there = source.namespace == namespace
    return there and _matches(peer.get("podSelector", {}), source.labels)


def _matches(selector: Manifest, labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _OPERATORS[each["operator"]](labels.get(each["key"]), each.get("values", ()))
        for each in selector.get("matchExpressions", ())
    )
