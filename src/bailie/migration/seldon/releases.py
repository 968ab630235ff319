"""Helm's releases of Seldon Core's charts, and what `helm uninstall` of them would delete. Pure.

Helm decides by the manifest that it has stored, whatever the objects say today: neither annotations nor
owners of an object keep it. So a move ends with Helm forgetting those releases whose objects go on under
Bailie. `helm uninstall` of one then deletes nothing, and `helm upgrade --install` of Bailie's chart under the
same name takes its objects over. Asked by `read_releases`, and by `seldon_steps` at the end of `finish`.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SELDON_CONFIG,
    SELDON_RUNTIME,
    SERVER,
    SERVER_CONFIG,
    SERVICE_ACCOUNT,
)
from bailie.doctor.facts import Unknown, known
from bailie.migration.changes import RELEASE, RELEASE_NAMESPACE, delete
from bailie.migration.facts import annotations_of, labels_of, name_of
from bailie.migration.finding import quoted
from bailie.migration.seldon.install import needed_rights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, NamespaceObjects, Object
    from bailie.migration.helm_release import HelmRelease
    from bailie.migration.record import MoveRecord

KEPT_BY_HELM = "owner=helm"
"""Selects the Secrets in which Helm keeps releases."""
_CHARTS = frozenset(f"seldon-core-v2-{name}" for name in ("crds", "setup", "runtime", "servers"))
_SETUP = "-setup"
_OURS = "bailie"
"""A keyword of Bailie's charts, which have the same names."""
_GOING_ON = (SELDON_RUNTIME, SERVER, SELDON_CONFIG, SERVER_CONFIG, ROLE, ROLE_BINDING, SERVICE_ACCOUNT)
"""Kinds of objects of Seldon Core's charts that go on in the namespace."""
_GZIP = 31
_LONGEST = 64 * 2**20
"""Bytes of a release that are decoded at most; Kubernetes keeps one megabyte of it, compressed."""


class _Metadata(msgspec.Struct):
    name: str
    keywords: list[str] = []


class _Chart(msgspec.Struct):
    metadata: _Metadata


class _Release(msgspec.Struct):
    chart: _Chart


def seldons_chart(secret: Object) -> str:
    """Returns the name of Seldon Core's chart in a stored release, empty for any other chart and for none.

    Nothing else of the Secret is kept: values may be secrets. Form: JSON, gzip, base64, and the base64 of all
    Secrets, https://github.com/helm/helm/blob/main/pkg/storage/driver/util.go
    """
    try:
        packed = base64.b64decode(base64.b64decode((secret.get("data") or {})["release"]))
        text = zlib.decompressobj(wbits=_GZIP).decompress(packed, _LONGEST)
        metadata = msgspec.json.decode(text, type=_Release).chart.metadata
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error, msgspec.DecodeError):
        return ""
    return metadata.name if metadata.name in _CHARTS and _OURS not in metadata.keywords else ""


def newest_of(secrets: Iterable[Object]) -> Object:
    """Returns the Secret of the newest revision of a release."""
    return max(secrets, key=_revision)


def owning_releases(here: NamespaceObjects, definitions: Iterable[Object]) -> frozenset[tuple[str, str]]:
    """Returns the releases, each namespace and name, that made objects which go on."""
    items = (*definitions, *(each for kind in _GOING_ON for each in here.all(kind)))
    return frozenset(key for each in items if (key := _release_of(each)))


def forget(facts: MoveFacts, record: MoveRecord) -> tuple[MoveChange, ...]:
    """Deletes Helm's Secrets of the releases, after what is left of the operator's own."""
    found: list[MoveChange] = []
    for release in _theirs(facts):
        if release.namespace == facts.here.name and release.chart.endswith(_SETUP):
            found += _rest_of(release, facts, record)
        found += [replace(delete(SECRET, each), helm=_taken_over(release)) for each in release.secrets]
    return tuple(found)


def are_forgotten(facts: MoveFacts, record: MoveRecord) -> tuple[str, ...]:  # noqa: ARG001 - a Hold
    """Tells the releases that this account may not look at, with what would become of them."""
    if not isinstance(facts.releases, Unknown):
        return ()
    owning = owning_releases(facts.here, dict(known(facts.cluster.definitions)).values())
    return tuple(
        f"Helm release {namespace}/{name}: its Secrets cannot be read ({facts.releases.why}), and `helm "
        f"uninstall` of it would delete what goes on here; upgrade it with Bailie's chart: helm upgrade "
        f"{quoted(name)} CHART --namespace {quoted(namespace)}"
        for namespace, name in sorted(owning)
    )


def _theirs(facts: MoveFacts) -> Iterator[HelmRelease]:
    owning = owning_releases(facts.here, dict(known(facts.cluster.definitions)).values())
    return (each for each in known(facts.releases) if each.chart and each.key in owning)


def _taken_over(release: HelmRelease) -> str:
    """Returns the command by which Bailie's chart takes the objects over; the operator's is not for here."""
    if release.chart.endswith(_SETUP):
        return ""
    command = f"helm upgrade --install {quoted(release.name)} ./charts/{release.chart}"
    return f"{command} --namespace {quoted(release.namespace)} -f VALUES"


def _rest_of(release: HelmRelease, facts: MoveFacts, record: MoveRecord) -> Iterator[MoveChange]:
    """Yields the deletions of what Seldon Core's operator had for itself in the namespace."""
    used = {(each["kind"], name_of(each)) for each in needed_rights(facts, record)}
    for kind in (DEPLOYMENT, CONFIG_MAP, ROLE_BINDING, ROLE, SERVICE_ACCOUNT):
        for each in facts.here.all(kind):
            if _release_of(each) == release.key and (kind.kind, name_of(each)) not in used:
                yield delete(kind, each)


def _release_of(item: Object) -> tuple[str, str] | None:
    notes = annotations_of(item)
    name, namespace = notes.get(RELEASE), notes.get(RELEASE_NAMESPACE) or item["metadata"].get("namespace")
    return (namespace, name) if name and namespace else None


def _revision(secret: Object) -> int:
    version = labels_of(secret).get("version", "")
    return int(version) if version.isdigit() else 0
