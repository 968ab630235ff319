"""The environment that finds an API server, read for `kubeconfig`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.settings import fields
from bailie.settings.reader import read
from bailie.wellknown import variables

if TYPE_CHECKING:
    from pathlib import Path


def _files(value: str) -> tuple[Path, ...]:
    return tuple(fields.users_path(part) for part in value.split(os.pathsep) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the API server is named."""

    kubeconfigs: tuple[Path, ...] = field(
        default=(),
        metadata=fields.custom(
            variables.KUBECONFIG,
            "Kubeconfig files, of which the first that exists counts.",
            allowed="paths of files, separated by colons",
            parse=_files,
            otherwise="the pod's service account, then ~/.kube/config",
        ),
    )


def kubeconfig_path() -> Path | None:
    """Returns the file that KUBECONFIG names, missing or not; None when it names none."""
    named = read(ApiSettings, os.environ).kubeconfigs  # noqa: TID251
    return next((path for path in named if path.is_file()), named[0] if named else None)
