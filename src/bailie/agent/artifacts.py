"""Fetches a model's artifact into a folder: local paths by copying, everything else with rclone.

`loading` calls `Artifacts.fetch`. A local path (absolute, or `file://`) is copied in a thread, links
followed; any other URI is `remote:path` for rclone, which is started once per download. What fails becomes an
ArtifactError with the true cause.

A Secret's remote reaches rclone in the environment of that one child, under a name of our own: arguments
can be seen by everybody on the machine and a file would outlive a crash, while `/proc/<pid>/environ` is
readable to the same user only; and values need no quoting there.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bailie.agent import rclone
from bailie.agent.errors import ArtifactError, disk_error
from bailie.agent.remotes import ConfiguredRemotes, Remote, SecretReader, parse_remote
from bailie.agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie._gen import agent_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Downloads for one namespace. `timeout` is the limit of one download, in seconds."""

    namespace: str
    secrets: SecretReader
    configured: ConfiguredRemotes
    timeout: float
    environment: Mapping[str, str] = field(repr=False)

    async def fetch(self, source: agent_pb2.ModelSource, target: Path) -> None:
        """Fills `target`, an empty folder, with what the URI names. Raises ArtifactError."""
        uri = source.storage_uri
        if not uri:
            raise ArtifactError(
                "StorageUriMissing", "spec.storageUri is empty; it should say where the model is"
            )
        local = local_path(uri)
        if source.secret_name:
            remote = await self._remote(source.secret_name, uri, is_local=local is not None)
            await self._download(uri, target, remote)
        elif local is not None:
            await self._copy(local, target, uri)
        else:
            await self._download(uri, target, await self.configured.find(uri.partition(":")[0]))
        if not any(target.iterdir()):  # noqa: ASYNC240 - one look at a folder of our own
            raise ArtifactError("ArtifactNotFound", f"there is no file at {uri}")

    async def _remote(self, secret: str, uri: str, *, is_local: bool) -> Remote:
        if is_local:
            raise ArtifactError(
                "SecretInvalid", f"storageUri {uri} is a local path; secretName only goes with a remote"
            )
        remote = parse_remote(secret, await self.secrets.read(self.namespace, secret))
        asked = uri.partition(":")[0]
        if remote.name != asked:
            raise ArtifactError(
                "SecretInvalid",
                f"storageUri names the remote {asked!r}, but Secret {secret} defines {remote.name!r}",
            )
        return remote

    async def _download(self, uri: str, target: Path, remote: Remote | None) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                await rclone.copy(uri, target, remote=remote, environment=self.environment)
        except TimeoutError as error:
            raise ArtifactError(
                "DownloadFailed", f"the download of {uri} did not end within {self.timeout:.0f} s"
            ) from error

    async def _copy(self, path: Path, target: Path, uri: str) -> None:
        stop = threading.Event()
        try:
            await in_thread(copy_local, path, target, stop, on_cancel=stop.set)
        except FileNotFoundError as error:
            raise ArtifactError(
                "ArtifactNotFound", f"{error.filename} does not exist (storageUri {uri})"
            ) from error
        except PermissionError as error:
            raise ArtifactError(
                "ArtifactUnreadable", f"{error.filename} is not readable for the agent"
            ) from error
        except OSError as error:
            raise disk_error(error, f"copying {uri}") from error


def local_path(uri: str) -> Path | None:
    """Returns the path that a URI names on this machine, None when it names a remote. Raises
    ArtifactError."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"}:
            raise ArtifactError(
                "StorageUriInvalid", f"storageUri {uri} names the host {parts.netloc}; write file:///path"
            )
        return _absolute(unquote(parts.path), uri)
    is_remote = ":" in uri.partition("/")[0] and not uri.startswith(("://", "::"))
    return None if is_remote else _absolute(uri, uri)


def _absolute(path: str, uri: str) -> Path:
    if not path.startswith("/"):
        raise ArtifactError(
            "StorageUriInvalid",
            f"storageUri {uri} is neither an absolute path nor a remote, such as gs://bucket/path",
        )
    return Path(path)


class _Stopped(OSError):  # noqa: N818 - no error: nobody waits for it
    """The copy is not wanted any more."""


def copy_local(path: Path, target: Path, stop: threading.Event) -> None:
    """Copies a file into a folder, or what a folder holds. Stops between files once `stop` is set."""

    def copy(source: str, destination: str) -> str:
        if stop.is_set():
            raise _Stopped
        return shutil.copyfile(source, destination)

    path.stat()
    if not path.is_dir():
        copy(str(path), str(target / path.name))
        return
    try:
        shutil.copytree(path, target, copy_function=copy, dirs_exist_ok=True)
    except shutil.Error as error:
        raise _first_cause(error) from error


def _first_cause(error: shutil.Error) -> OSError:
    """Finds what went wrong first; copytree goes on after a failure and gathers texts."""
    source, _, text = error.args[0][0]
    if "No space left" in text:
        return OSError(28, "No space left on device")
    if "Permission denied" in text:
        return PermissionError(13, "Permission denied", source)
    if "No such file" in text:
        return FileNotFoundError(2, "No such file or directory", source)
    return OSError(5, text, source)
