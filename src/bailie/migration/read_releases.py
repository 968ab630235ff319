"""Reads the Helm releases whose objects a move has taken over. Called by `look` at the end of a move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import SECRET
from bailie.doctor.facts import Unknown
from bailie.kube.errors import Forbidden, NotFound
from bailie.migration.facts import labels_of, name_of
from bailie.migration.helm_release import HelmRelease
from bailie.migration.seldon.releases import (
    KEPT_BY_HELM,
    newest_of,
    owning_releases,
    seldons_chart,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.doctor.facts import Known
    from bailie.kube.client import Client
    from bailie.migration.facts import NamespaceObjects, Object


async def read_releases(
    client: Client, here: NamespaceObjects, definitions: Iterable[Object]
) -> Known[tuple[HelmRelease, ...]]:
    """Returns the releases, Unknown where this account may not read them. Raises ApiError.

    Of each only the name of its chart is kept.
    """
    owning = owning_releases(here, definitions)
    try:
        found = [await _read(client, namespace, name) for namespace, name in sorted(owning)]
    except Forbidden as error:
        return Unknown(str(error))
    return tuple(each for each in found if each is not None)


async def _read(client: Client, namespace: str, name: str) -> HelmRelease | None:
    listed = await client.list(SECRET, namespace, labels=KEPT_BY_HELM, metadata_only=True)
    secrets = tuple(each for each in listed.items if labels_of(each).get("name") == name)
    if not secrets:
        return None
    try:
        chart = seldons_chart(await client.get(SECRET, name_of(newest_of(secrets)), namespace))
    except NotFound:
        return None
    return HelmRelease(namespace=namespace, name=name, chart=chart, secrets=secrets)
