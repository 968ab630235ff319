"""The catalogue: which resources are served, under which paths, and the particulars of each.

Made by `bootstrap` and read by all modules that serve resources. A resource is data; its few functions are a
`Strategy` (`strategies.py`). Nothing here reads or writes objects.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubeapi.kinds import ApiKind
from kubeapi.registry.strategies import Strategy
from kubeapi.schemas.definitions import structural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_structural = functools.cache(structural)


@dataclass(frozen=True, slots=True)
class Scale:
    """The places of the scale subresource's numbers, as lists of keys from the object's root."""

    replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource as discovery shows it: the kind of its objects and its verbs."""

    kind: ApiKind
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The functions by which objects of an alias are shown and kept."""

    shown: Callable[[dict[str, Any]], dict[str, Any]]
    kept: Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One served resource.

    `version_entry` is the entry of `spec.versions` of its CustomResourceDefinition, None for the built-in
    kinds. `columns` are the columns of `kubectl get` between name and age, in the form of
    `additionalPrinterColumns`; columns that need code are in `printing.columns`. `alias_of` is the store key
    of the resource whose objects this one shows in another version or group, by `conversion`.
    """

    kind: ApiKind
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    status: bool = False
    scale: Scale | None = None
    version_entry: Mapping[str, Any] | None = None
    alias_of: str = ""
    conversion: Conversion | None = None
    columns: Sequence[Mapping[str, Any]] = ()
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    strategy: Strategy = field(default_factory=Strategy)

    @property
    def key(self) -> str:
        """The name of the resource in the store: `group/plural`."""
        return self.alias_of or f"{self.kind.group}/{self.kind.plural}"

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition defines the resource."""
        return self.version_entry is not None

    @property
    def schema(self) -> dict[str, Any] | None:
        """The structural schema: the definition's for custom resources, else the built-in kind's."""
        entry = self.version_entry
        if entry is None:
            return _structural(self.kind)
        schema: dict[str, Any] | None = entry.get("schema", {}).get("openAPIV3Schema")
        return schema


class Catalogue:
    """All served resources, found by path or by kind."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._all = tuple(resources)
        self._by_path = {(r.kind.group, r.kind.version, r.kind.plural): r for r in self._all}
        self._by_kind = {(r.kind.api_version, r.kind.kind): r for r in self._all}
        self._by_key = {r.key: r for r in reversed(self._all)}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Returns the resource that a request path names; None where none is served there."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Returns the resource whose objects have this `apiVersion` and `kind`; None where none is served."""
        return self._by_kind.get((api_version, kind))

    def stored(self, key: str) -> Resource | None:
        """Returns the resource whose objects the store keeps under this key; None where there is none."""
        return self._by_key.get(key)

    def groups(self) -> list[tuple[str, str]]:
        """Returns the served (group, version) pairs, core first, in the order of the catalogue."""
        return list(dict.fromkeys((r.kind.group, r.kind.version) for r in self._all))


def custom_resource(manifest: Mapping[str, Any]) -> Resource:
    """Returns the resource that a CustomResourceDefinition manifest defines (its storage version)."""
    spec = manifest["spec"]
    names = spec["names"]
    entry = next(version for version in spec["versions"] if version.get("storage"))
    subresources = entry.get("subresources", {})
    namespaced = spec.get("scope", "Namespaced") == "Namespaced"
    return Resource(
        kind=ApiKind(spec["group"], entry["name"], names["kind"], names["plural"], namespaced),
        singular=names.get("singular", names["kind"].lower()),
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        status="status" in subresources,
        scale=_scale(subresources.get("scale")),
        version_entry=entry,
        columns=tuple(entry.get("additionalPrinterColumns") or ()),
        strategy=Strategy(generation=True, strict_updates=True),
    )


def _scale(entry: Mapping[str, str] | None) -> Scale | None:
    if entry is None:
        return None

    def keys(name: str) -> tuple[str, ...]:
        path = entry.get(name, "")
        return tuple(path.strip(".").split(".")) if path else ()

    return Scale(keys("specReplicasPath"), keys("statusReplicasPath"), keys("labelSelectorPath"))
