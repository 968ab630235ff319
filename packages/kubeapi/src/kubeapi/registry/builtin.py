"""The built-in kinds: which are served, and the particulars of each.

Read by `bootstrap`. A new kind is a row here and a name in `kubeapi.kinds`, from which its schema and its
messages are cut at build. Only parts that need code are elsewhere: rules in `strategies`, computed cells in
`printing.columns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import kinds
from kubeapi.kinds import ApiKind
from kubeapi.registry import events
from kubeapi.registry.catalogue import ALL_VERBS, Conversion, Resource, Scale, Subresource
from kubeapi.registry.strategies import Strategy, core_strategies
from kubeapi.registry.workload_strategies import workload_strategies

if TYPE_CHECKING:
    from kubeapi.registry.ports import NodePorts

_WITHOUT_DELETION = tuple(verb for verb in ALL_VERBS if not verb.startswith("delete"))
_EXEC = ApiKind("", "v1", "PodExecOptions", "pods/exec")
_PORT_FORWARD = ApiKind("", "v1", "PodPortForwardOptions", "pods/portforward")
"""Kinds of no object: discovery names them."""
_POD_SCALE = Scale(("spec", "replicas"), ("status", "replicas"), ("spec", "selector"))
"""The scale of kinds that run pods; their selector is an object."""


def builtin_resources(node_ports: NodePorts) -> list[Resource]:
    """Returns the built-in kinds that the API serves, core group first."""
    strategies = core_strategies(node_ports) | workload_strategies()

    def serve(kind: ApiKind, *short: str, generation: bool = False, **more: Any) -> Resource:
        strategy = strategies.get(kind.plural, Strategy(generation=generation))
        return Resource(kind=kind, singular=kind.kind.lower(), short_names=short, strategy=strategy, **more)

    pod_parts = {
        "exec": Subresource(_EXEC, ("create", "get")),
        "log": Subresource(kinds.POD, ("get",)),
        "portforward": Subresource(_PORT_FORWARD, ("create", "get")),
        "proxy": Subresource(kinds.POD, ("get",)),
    }
    account_parts = {"token": Subresource(kinds.TOKEN_REQUEST, ("create",))}
    reviewed = [serve(kind, verbs=("create",)) for kind in kinds.REVIEWS]
    conversion = Conversion(events.to_new, events.to_core)
    return [
        serve(kinds.CONFIG_MAP, "cm"),
        serve(kinds.EVENT, "ev"),
        serve(kinds.NAMESPACE, "ns", status=True),
        serve(kinds.PERSISTENT_VOLUME_CLAIM, "pvc", status=True),
        serve(kinds.POD, "po", status=True, categories=("all",), subresources=pod_parts),
        serve(kinds.SECRET),
        serve(kinds.SERVICE, "svc", status=True, categories=("all",)),
        serve(kinds.SERVICE_ACCOUNT, "sa", subresources=account_parts),
        serve(
            kinds.CUSTOM_RESOURCE_DEFINITION,
            "crd",
            "crds",
            categories=("api-extensions",),
            verbs=_WITHOUT_DELETION,
        ),
        serve(kinds.DEPLOYMENT, "deploy", status=True, scale=_POD_SCALE, categories=("all",)),
        serve(kinds.REPLICA_SET, "rs", status=True, scale=_POD_SCALE, categories=("all",)),
        serve(kinds.STATEFUL_SET, "sts", status=True, scale=_POD_SCALE, categories=("all",)),
        *reviewed,
        serve(kinds.HORIZONTAL_POD_AUTOSCALER, "hpa", status=True, categories=("all",)),
        serve(kinds.LEASE),
        serve(kinds.ENDPOINT_SLICE),
        serve(kinds.NEW_EVENT, "ev", alias_of="/events", conversion=conversion),
        serve(kinds.NETWORK_POLICY, "netpol", generation=True),
        serve(kinds.POD_DISRUPTION_BUDGET, "pdb", status=True, generation=True),
        serve(kinds.CLUSTER_ROLE_BINDING),
        serve(kinds.CLUSTER_ROLE),
        serve(kinds.ROLE_BINDING),
        serve(kinds.ROLE),
    ]
