"""Everything a pod needs before a process of it can start: address, volumes, identity, variables.

Used by the pod worker and its container runners. Safe to repeat: each start of a container does it again, so
that a Secret or ConfigMap that was missing is seen, and the worker when one has changed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bailie import __version__
from bailie.kube.errors import ApiError, NotFound
from bailie.kube.folders import remove_folder
from bailie.wellknown import variables
from bailie.workloads.node import tokens, volumes
from bailie.workloads.node.environment import ConfigError
from bailie.workloads.node.files import make_directory
from bailie.workloads.node.pods import STATE_VARIABLE, PodContext
from kubeapi.registry.pod_rules import spec_causes
from kubeapi.schemas import schema
from kubeapi.schemas.definitions import pod_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.kube.events import Recorder
    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.records import ProcessRecords
    from bailie.workloads.node.settings import NodeSettings
    from kubeapi.causes import Cause

log = structlog.get_logger(__name__)

REACHABLE = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
"""Where models may be downloaded from besides the internet: stores of this machine and of the networks around
it, which its user may reach. Pods have other loopback addresses, and stay closed."""


def manifest_causes(pod: Manifest) -> Iterator[Cause]:
    """Returns the mistakes in a pod. The API refuses them, too, but may hold a pod that an earlier version
    stored."""
    yield from schema.validate({"properties": {"spec": pod_spec()}}, pod)
    yield from spec_causes(pod["spec"], "spec")


@dataclass(frozen=True, slots=True)
class NodeTools:
    """The tools that all pods of a node share."""

    client: Client
    settings: NodeSettings
    records: ProcessRecords
    recorder: Recorder


class PodSetup:
    """One pod's directory and identity. `ip` is its address."""

    def __init__(self, pod: Manifest, ip: str, tools: NodeTools) -> None:
        self.pod = pod
        self.ip = ip
        self.tools = tools
        self.named: frozenset[volumes.Named] = frozenset()
        """The Secrets and ConfigMaps that the pod names, once it was prepared."""
        self._lock = asyncio.Lock()
        self._token: str | None = None

    @property
    def directory(self) -> Path:
        """The pod's own directory."""
        return self.tools.settings.pods_dir / str(self.pod["metadata"]["uid"])

    @property
    def fixed(self) -> str:
        """The settings that a process of this pod keeps from its start; when it changes, it must be started
        anew."""
        return f"{self.ip} {self.tools.settings.api_url} {__version__}"

    async def context(self) -> PodContext | ConfigError:
        """Prepares the pod. An API that is away or a full disk is a ConfigError too: it is tried again."""
        async with self._lock:
            try:
                return await self._prepare()
            except ApiError as error:
                return ConfigError(error.message)
            except OSError as error:
                return ConfigError(f"{error.filename or self.directory}: {error.strerror or error}")

    async def _prepare(self) -> PodContext | ConfigError:
        settings = self.tools.settings
        broken = next(manifest_causes(self.pod), None)
        if broken:
            return ConfigError(f"{broken}; give the pod another spec")
        self.named = frozenset(volumes.named(self.pod))
        make_directory(self.directory)
        token = await self._identity()
        sources = await volumes.fetch_sources(self.tools.client, self.pod, self.ip)
        sources = volumes.with_account(self.pod, sources, token, settings)
        paths = volumes.realise(self.pod, sources, self.directory, settings)
        if isinstance(paths, ConfigError):
            return paths
        base = {
            **settings.environment,
            STATE_VARIABLE: str(settings.state_dir),
            variables.ENDPOINTS_DIR: str(settings.endpoints_dir),
            variables.LOCAL_ROOTS: ":".join(map(str, settings.local_roots)),
            variables.ALLOWED_NETWORKS: REACHABLE,
        }
        return PodContext(
            sources=sources,
            programs=settings.programs,
            volumes=paths,
            base=base,
            directory=str(self.directory),
            kubeconfig=str(self._kubeconfig) if token else "",
            accounted=tokens.holders(self.pod),
        )

    @property
    def _kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    async def _identity(self) -> str:
        """Asks for the token once and writes the kubeconfig; empty for a pod that has or needs none."""
        pod, settings = self.pod, self.tools.settings
        if not tokens.holders(pod):
            return ""
        if self._token is None:
            try:
                token = await tokens.request_token(self.tools.client, pod, settings.token_seconds)
            except NotFound:
                if tokens.account(pod) == "default":
                    return ""
                raise
            tokens.write_kubeconfig(self._kubeconfig, token, pod["metadata"]["namespace"], settings)
            self._token = token
        return self._token

    def remove(self) -> None:
        """Deletes the pod's directory; claims stay."""
        remove_folder(self.directory)
        if self.directory.exists():
            log.warning("pod directory not removed", path=str(self.directory))
