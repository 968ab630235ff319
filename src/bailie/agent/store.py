"""The agent's folder: the server's model repository, and downloads on their way there.

`loading` installs and removes versions here, `models` reads the records at the start. A version appears and
disappears by one rename, so every version in the repository is whole and ours:

    models/iris_3/bailie.json    the record: which version this is
    models/iris_3/1/…            the server's model folder; the inner version is always 1
    .incoming/…                  downloads and leavings; emptied at the start

The server's container mounts `models` alone and may write there, so a record is believed only as far as it
fits its folder, and nothing is read or written through a link.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
import structlog

from bailie.agent.errors import ArtifactError
from bailie.agent.files import read_text, write_text
from bailie.api.names import LONGEST_LABEL, MODEL_NAME
from bailie.api.texts import shown
from bailie.kube.folders import remove_folder
from bailie.lifecycle.signature import Signature  # noqa: TC001 - msgspec reads the annotations of records
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

RECORD = "bailie.json"
_SERVER_NAME = re.compile(rf"(?P<name>{MODEL_NAME.pattern})_[0-9]{{1,19}}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version on disk. `path` and `ignored` are those of `repository.prepared`.

    `signature`: as the server described the model after a load, None where it did not.
    """

    name: str
    identity: str
    number: int
    declared_bytes: int = 0
    measured_bytes: int = 0
    measured_at_least: bool = False
    evicted: bool = False
    workers: int = 1
    path: str = ""
    ignored: tuple[str, ...] = ()
    signature: Signature | None = None

    @property
    def server_name(self) -> str:
        """The version's name on the inference server."""
        return server_name_of(self.name, self.number)

    @property
    def counted_bytes(self) -> int:
        """The memory that is counted for the version: the larger of declared and measured."""
        return max(self.declared_bytes * max(self.workers, 1), self.measured_bytes)


class Store:
    """Versions on disk. Blocking: call it in a thread where folders are large."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self._incoming = folder / ".incoming"

    def open(self) -> list[VersionRecord]:
        """Makes the folders, drops unfinished downloads, and returns the versions in the repository."""
        self.models.mkdir(parents=True, exist_ok=True)
        remove_folder(self._incoming)
        self._incoming.mkdir()
        records = [_read(path) for path in sorted(self.models.glob(f"*/{RECORD}"))]
        return [record for record in records if record is not None]

    def workplace(self, server_name: str) -> Path:
        """Makes an empty folder for one attempt, on the repository's volume."""
        path = self._incoming / f"{_checked(server_name)}-{uuid4().hex[:8]}"
        path.mkdir(parents=True)
        return path

    def discard(self, workplace: Path) -> None:
        """Deletes the folder of an attempt."""
        remove_folder(workplace)

    def install(self, prepared: Path, record: VersionRecord) -> None:
        """Moves a prepared version folder into the repository, in the place of an older one."""
        self.record(record, prepared)
        self.remove(record.server_name)
        prepared.rename(self.folder(record.server_name))

    def record(self, record: VersionRecord, folder: Path | None = None) -> None:
        """Writes a version's record, by default that of an installed one."""
        folder = folder or self.folder(record.server_name)
        write_text(folder / RECORD, json.dumps(asdict(record), indent=2) + "\n")

    def folder(self, server_name: str) -> Path:
        """Returns where the version is, or would be. Raises ArtifactError if the name is not a version's."""
        return self.models / _checked(server_name)

    def has(self, server_name: str) -> bool:
        """Says whether the version's folder is there."""
        return self.folder(server_name).is_dir()

    def remove(self, server_name: str) -> None:
        """Deletes a version; does nothing when it is not there."""
        trash = self._incoming / f"{server_name}-{uuid4().hex[:8]}"
        try:
            self.folder(server_name).rename(trash)
        except FileNotFoundError:
            return
        remove_folder(trash)


def _checked(server_name: str) -> str:
    """Returns the name if it is a plain name of a folder, so that no version leads out of the repository."""
    found = _SERVER_NAME.fullmatch(server_name)
    if found is None or len(found["name"]) > LONGEST_LABEL:
        raise ArtifactError("NameRefused", f"{shown(server_name)} cannot be the name of a model's version")
    return server_name


def _read(path: Path) -> VersionRecord | None:
    try:
        record = msgspec.json.decode(read_text(path), type=VersionRecord)
        problem = "" if record.server_name == path.parent.name else "it is another version's"
        _checked(record.server_name)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError, ArtifactError) as error:
        record, problem = None, str(error)
    if problem:
        log.warning("version on disk has no usable record and is left alone", path=str(path), error=problem)
    return None if problem else record
