"""A release of Helm's: its name, and the metadata of the Secrets in which Helm keeps it.

Made by `read_releases`; `seldon.releases` decides which of them Helm is to forget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmRelease:
    """One release."""

    namespace: str
    name: str
    chart: str
    """The name of Seldon Core's chart, empty where it is of any other."""
    secrets: tuple[dict[str, Any], ...]
    """The metadata of its Secrets, one for each revision."""

    @property
    def key(self) -> tuple[str, str]:
        """Returns namespace and name, as objects name their release."""
        return self.namespace, self.name
