"""Volume claims that are mounted in the agent's container: where `pvc://claim/path` is in its files.

The operator tells the mounts (`manifests.artifact_volumes`); `settings` reads them, `artifacts` asks. Each
mount is an allowed folder for artifacts, too, unless it is the agent's own folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError
from bailie.api.names import is_dns_subdomain
from bailie.api.texts import shown

if TYPE_CHECKING:
    from bailie.api.storage import ClaimPath


@dataclass(frozen=True, slots=True)
class ClaimMount:
    """A claim, or the folder `below` of it, that is mounted at `folder`."""

    claim: str
    below: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Claims:
    """The mounts of one agent."""

    mounts: tuple[ClaimMount, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where they are mounted."""
        return tuple(each.folder for each in self.mounts)

    def locate(self, address: ClaimPath) -> Path:
        """Returns where a path of a claim is. Raises ArtifactError (`ClaimNotMounted`)."""
        wanted = Path(address.path)
        for mount in self.mounts:
            if mount.claim == address.claim and wanted.is_relative_to(mount.below):
                return mount.folder / wanted.relative_to(mount.below)
        raise ArtifactError("ClaimNotMounted", f"{self._missing(address)}: {_ADVICE}")

    def _missing(self, address: ClaimPath) -> str:
        places = [str(Path(each.claim) / each.below) for each in self.mounts]
        mounted = f"mounted are {shown(', '.join(places))}" if places else "no claim is"
        return (
            f"pvc://{address.claim}/{shown(address.path)} is not mounted in this server's agent ({mounted})"
        )


_ADVICE = (
    "mount the claim in the container agent of a Server, by its spec.podSpec, and name that Server in"
    " spec.server"
)


def parse_claims(value: str) -> Claims:
    """Reads the operator's variable. Raises ValueError."""
    words = value.split(":") if value else []
    return Claims(tuple(_mount(*pair) for pair in zip(words[::2], words[1::2], strict=True)))


def _mount(place: str, folder: str) -> ClaimMount:
    claim, _, below = place.partition("/")
    path = Path(folder)
    if not is_dns_subdomain(claim) or ".." in Path(below).parts:
        raise ValueError(f"not {place!r}")
    if not path.is_absolute() or ".." in path.parts or path == Path("/"):
        raise ValueError(f"not {folder!r}")
    return ClaimMount(claim, below, path)
