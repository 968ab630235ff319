"""The failures of an agent, as one small tree.

    LoadFailed             a model version could not be fetched, prepared or loaded
    ├── ArtifactError      the artifact, its storage or its Secret
    ├── RepositoryError    the artifact is there, but no model folder can be made of it
    └── ServerError        the inference server refused, crashed or did not answer
    HoldRefused            a request was held for a version that does not come into memory

`models` turns each into a report: `reason` is its token, `message` its sentence. Exceptions of rclone,
httpx2, grpc and the file system are translated where they arise and never reach `models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping


class LoadFailed(Exception):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """A model version could not be loaded.

    Attributes:
        reason: a CamelCase token, such as `ArtifactNotFound`.
        message: a sentence for people, with the true cause and without secrets.
        deaths: how often the version has ended this replica's server.
        rests_on: marks of the Secrets and the configuration that the load rested on, by name.
    """

    def __init__(self, reason: str, message: str, deaths: int = 0) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.deaths = deaths
        self.rests_on: Mapping[str, str] = {}


class ArtifactError(LoadFailed):
    """The artifact could not be fetched."""


class RepositoryError(LoadFailed):
    """No model folder can be made of the artifact."""


class ServerError(LoadFailed):
    """The inference server refused or failed a request of the agent."""


class HoldRefused(Exception):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """A request cannot be answered here: `reason` is a token, `message` is for the log.

    Callers get the sentence that belongs to the token.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def disk_error(error: OSError, doing: str) -> ArtifactError:
    """Translates an error of the local file system. `doing` completes `while …`."""
    where = f" {shown(str(error.filename))}" if error.filename else ""
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return ArtifactError("DiskFull", f"no space is left on the agent's volume while {doing}")
    return ArtifactError("FileSystemError", f"{error.strerror or error}{where} while {doing}")
