"""A Server and its ServerConfig as a workload. Called by the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.manifests.account import with_account
from bailie.manifests.artifact_volumes import agents_patches, with_claims
from bailie.manifests.fences import Origin
from bailie.manifests.objects import NAME_LABEL, carried, described, headless, owner_reference, port, service
from bailie.manifests.podspec import merge_pod_spec
from bailie.manifests.variables import rewritten, with_drain, with_workers
from bailie.manifests.workload import Workload
from bailie.wellknown import labels, names, ports, variables

if TYPE_CHECKING:
    from bailie.api.server import Server, ServerSpec
    from bailie.api.server_config import ServerConfig
    from bailie.manifests.workload import Manifest

SERVER_LABEL = labels.SERVER
SERVER_COMPONENT = names.SERVER
CAPABILITIES_VARIABLE = variables.SERVER_CAPABILITIES
_PORTS = (
    ("http", ports.SERVER_HTTP, "server-http"),
    ("grpc", ports.SERVER_GRPC, "server-grpc"),
    ("agent", ports.HEALTH, ports.HEALTH),
)


def server_selector(name: str) -> dict[str, str]:
    """Returns the labels that tell the pods of a Server from all others."""
    return {SERVER_LABEL: name}


def server_workload(server: Server, config: ServerConfig) -> Workload:
    """Returns the pods `<server>-<i>` and the headless Service `<server>`.

    The numbers begin at the Server's first ordinal. The pods carry the labels and annotations of the
    ServerConfig and of the Server, which win.
    """
    metadata, spec, shared = server.metadata, server.spec, config.metadata
    selector = server_selector(metadata.name)
    labels = {**carried(shared.labels), **carried(metadata.labels), **selector, NAME_LABEL: SERVER_COMPONENT}
    annotations = {**carried(shared.annotations), **carried(metadata.annotations)}
    override = agents_patches(spec.pod_spec, config.spec.pod_spec)
    pod = with_capabilities(merge_pod_spec(config.spec.pod_spec, override), spec)
    pod = with_account(with_workers(pod), SERVER_COMPONENT)
    pod = with_claims(with_drain(pod))
    ports = [port(name, number, target) for name, number, target in _PORTS]
    return Workload(
        namespace=metadata.namespace,
        name=metadata.name,
        replicas=server.wanted_replicas,
        selector=selector,
        template={"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        owner=owner_reference(server),
        objects=(service(metadata.namespace, metadata.name, headless(selector, ports), labels=selector),),
        volume_claim_templates=tuple(
            {"metadata": {"name": claim.name}, "spec": claim.spec}
            for claim in config.spec.volume_claim_templates
        ),
        claim_retention=_claim_retention(spec),
        first_ordinal=server.first_ordinal,
    )


def server_origin(config: ServerConfig) -> Origin:
    """Returns where the pods of a Server with this configuration come from."""
    return Origin(config.spec.pod_spec, described(config), "spec.podSpec")


def with_capabilities(pod: Manifest, spec: ServerSpec) -> Manifest:
    """Returns the pod with the Server's capabilities in every container that states any."""
    if not spec.capabilities and not spec.extra_capabilities:
        return pod
    return rewritten(pod, CAPABILITIES_VARIABLE, lambda configured: _capabilities(configured, spec))


def _capabilities(configured: str, spec: ServerSpec) -> str:
    wanted = spec.capabilities or (*configured.split(","), *spec.extra_capabilities)
    return ",".join(dict.fromkeys(text.strip() for text in wanted if text.strip()))


def _claim_retention(spec: ServerSpec) -> Manifest:
    policy = spec.stateful_set_persistent_volume_claim_retention_policy
    return policy.model_dump(by_alias=True, exclude_none=True) if policy else {}
