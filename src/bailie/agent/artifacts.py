"""Fetches a model's artifact into a folder: paths of this machine by copying, everything else with rclone.

`loading` calls `Artifacts.fetch`. The URI goes by the grammar of `api.storage`, the remote by the table of
`remote_types`, each host by `egress`, each local path by `local_copy`: an address that these refuse starts no
process and opens no connection. rclone is started once per download, behind a proxy that checks where it
connects. Each failure becomes an ArtifactError with its cause.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.agent import local_copy, rclone
from bailie.agent.artifact_limits import ArtifactLimits, survey
from bailie.agent.errors import ArtifactError, disk_error
from bailie.agent.remote_types import problem_of
from bailie.agent.remotes import PUBLIC, ConfiguredRemotes, Remote, SecretReader, parse_remote, web_remote
from bailie.agent.seen_secrets import CONFIGURATION, SeenSecrets
from bailie.agent.threads import HangingWork, WorkHangs, in_thread
from bailie.api.names import is_dns_subdomain
from bailie.api.storage import (
    REFUSED,
    ClaimPath,
    LocalPath,
    RemotePath,
    StorageAddress,
    StorageUriRefused,
    WebAddress,
    parse_storage_uri,
)
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie._gen import agent_pb2
    from bailie.agent.claims import Claims
    from bailie.agent.egress import Egress

_OF_THE_ARTIFACT = frozenset({"ArtifactRefused", "ArtifactTooLarge", "DiskFull"})
"""Reasons of a download that no host has to do with; of others the proxy may know more than rclone."""
_UNKNOWN = "RemoteUnknown"
_MOST_HANGING = 16
"""Copies from volumes that do not answer, left behind; further copies are refused until one of them ends."""
_SURVEY_SECONDS = 2.0
"""Between two surveys of the files that rclone has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Downloads for one namespace. `timeout` is the limit of one download or copy, in seconds."""

    namespace: str
    secrets: SecretReader
    configured: ConfiguredRemotes
    roots: local_copy.Roots
    claims: Claims
    egress: Egress
    timeout: float
    limits: ArtifactLimits
    identity: bool
    """Whether remotes may use the cloud identity of the agent's pod."""
    environment: Mapping[str, str] = field(repr=False)
    copies: HangingWork = field(default_factory=lambda: HangingWork(_MOST_HANGING))

    async def fetch(self, source: agent_pb2.ModelSource, target: Path) -> None:
        """Fills `target`, an empty folder, with the files that the URI names. Raises ArtifactError."""
        secrets, configuration = SeenSecrets(self.secrets), self.configured.fingerprint()
        try:
            await self._fetch(source, target, secrets)
        except ArtifactError as error:
            if secrets.marks or error.reason == _UNKNOWN:
                error.rests_on = {**secrets.marks, CONFIGURATION: configuration}
            raise

    async def _fetch(self, source: agent_pb2.ModelSource, target: Path, secrets: SecretReader) -> None:
        uri = source.storage_uri
        address = _address(uri)
        if not isinstance(address, RemotePath) and source.secret_name:
            raise ArtifactError(
                "SecretInvalid",
                f"storageUri {shown(uri)} names no remote, and secretName only goes with one",
            )
        if isinstance(address, LocalPath):
            await self._copy(Path(address.path), target, uri)
        elif isinstance(address, ClaimPath):
            await self._copy(self.claims.locate(address), target, uri)
        elif isinstance(address, WebAddress):
            await self._download(uri, web_remote(address.origin), address.path, target)
        else:
            remote = await self._remote(address.remote, source.secret_name, secrets, uri)
            await self._download(uri, remote, address.path, target)
        if not any(target.iterdir()):  # noqa: ASYNC240 - one look at a folder of our own
            raise ArtifactError("ArtifactNotFound", f"there is no file at {shown(uri)}")

    async def _remote(self, name: str, secret: str, secrets: SecretReader, uri: str) -> Remote:
        """Finds the remote that the URI names, in the Secret where one is named. Raises ArtifactError."""
        if secret:
            remote = await self._of_secret(name, secret, secrets)
        else:
            remote = await self._configured(name, secrets, uri)
        problem = problem_of(remote.type, remote.parameters, identity=self.identity)
        if problem is not None:
            where = f"of Secret {secret}" if secret else "of the configuration"
            raise ArtifactError("RemoteRefused", f"the remote {name} {where} {problem}")
        return remote

    async def _configured(self, name: str, secrets: SecretReader, uri: str) -> Remote:
        """Finds a configured remote; which definitions are unusable is told, as one may be the wanted
        remote."""
        found = await self.configured.read(secrets)
        remote = found.remotes.get(name) or PUBLIC.get(name)
        if remote is not None:
            return remote
        if found.problems:
            told = f"no remote {name} can be used; of the configured ones {'; '.join(found.problems)}"
        else:
            told = f"no remote {name} is configured; a Secret that defines {name} goes into secretName"
        raise ArtifactError(_UNKNOWN, f"{shown(uri)}: {told}")

    async def _of_secret(self, name: str, secret: str, secrets: SecretReader) -> Remote:
        if not is_dns_subdomain(secret):
            raise ArtifactError("SecretInvalid", f"secretName {shown(secret)} cannot be the name of a Secret")
        remote = parse_remote(secret, await secrets.read(self.namespace, secret))
        if remote.name != name:
            raise ArtifactError(
                "SecretInvalid",
                f"storageUri names the remote {name!r}, but Secret {secret} defines {shown(remote.name)!r}",
            )
        return remote

    async def _download(self, uri: str, remote: Remote, path: str, target: Path) -> None:
        for host, port in sorted(remote.hosts):
            await self.egress.check(host, port, named=remote.trusted)
        named = frozenset(host for host, _ in remote.hosts) if remote.trusted else frozenset()
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit, self.egress.proxy(named) as proxy:
                job = rclone.Job(
                    uri=uri,
                    remote=remote,
                    path=path,
                    target=target,
                    proxy=proxy.url,
                    environment=self.environment,
                    most_bytes=self.limits.bytes,
                )
                try:
                    await self._watched(job)
                except ArtifactError as error:
                    if error.reason in _OF_THE_ARTIFACT:
                        raise
                    raise proxy.refusal or proxy.failure or error from None
        except TimeoutError as error:
            if not limit.expired():
                raise  # the disk's
            raise ArtifactError(
                "DownloadFailed", f"the download of {shown(uri)} did not end within {self.timeout:.0f} s"
            ) from error

    async def _watched(self, job: rclone.Job) -> None:
        """Runs rclone, and ends it as soon as the written files exceed the limits of an artifact."""
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._survey_repeatedly(job.target))
                await rclone.copy(job)
                watch.cancel()
        except* (ArtifactError, OSError) as several:
            raise several.exceptions[0] from None
        await in_thread(survey, job.target, self.limits)

    async def _survey_repeatedly(self, target: Path) -> None:
        while True:
            await asyncio.sleep(_SURVEY_SECONDS)
            await in_thread(survey, target, self.limits)

    async def _copy(self, path: Path, target: Path, uri: str) -> None:
        stop = threading.Event()

        def copy() -> None:
            local_copy.copy(path, target, roots=self.roots, limits=self.limits, stop=stop)

        try:
            await self.copies.run(copy, stop.set, self.timeout)
        except WorkHangs as hangs:
            raise ArtifactError("DownloadFailed", f"the copy of {shown(uri)} {hangs}") from hangs
        except FileNotFoundError as error:
            missing = str(error.filename)
            said = "" if missing == uri else f" (storageUri {shown(uri)})"
            raise ArtifactError("ArtifactNotFound", f"{shown(missing)} does not exist{said}") from error
        except PermissionError as error:
            raise ArtifactError(
                "ArtifactUnreadable", f"{shown(str(error.filename))} is not readable for the agent"
            ) from error
        except OSError as error:
            raise disk_error(error, f"copying {shown(uri)}") from error


def _address(uri: str) -> StorageAddress:
    if not uri:
        raise ArtifactError("StorageUriMissing", "spec.storageUri is empty; it should say where the model is")
    try:
        return parse_storage_uri(uri)
    except StorageUriRefused as refused:
        raise ArtifactError(REFUSED, f"storageUri {refused}") from None
