"""The facts for a move: the objects that the API shows, by kind and name, or why it does not show them.

`read` fills them, `source` and the checks judge them, and a move looks at fresh ones before each of its
steps. Objects are plain data as the API has them; of Secrets only the metadata is here. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from bailie.api.kinds import POD, SELDON_RUNTIME, SERVICE
from bailie.api.names import is_dns_label
from bailie.api.seldon_runtime import SeldonRuntimeStatus
from bailie.api.status import told_condition
from bailie.doctor.facts import Unknown, known
from bailie.scope.central import asked_of, oldest, redirected_to
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import InstallationView, Known
    from bailie.migration.helm_release import HelmRelease
    from bailie.scope.rights import Right

Object: TypeAlias = "dict[str, Any]"
"""A Kubernetes object as plain JSON data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceObjects:
    """The objects of one namespace."""

    name: str
    namespace: Known[Object | None] = None
    """The Namespace itself; None where it does not exist."""
    objects: Mapping[str, Mapping[str, Object]] = field(default_factory=dict)
    """By kind (`StatefulSet`), then by name. A kind that could not be read is in `unread` instead."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Of each kind that could not be read: why. A kind that the API does not serve counts as read."""

    @property
    def uid(self) -> str:
        """The uid of the Namespace, empty where it is not known."""
        return uid_of(self.namespace) if isinstance(self.namespace, dict) else ""

    def all(self, kind: Kind) -> tuple[Object, ...]:
        """Returns the objects of a kind by name, none where they could not be read."""
        return tuple(self.objects.get(kind.kind, {}).values())

    def get(self, kind: Kind, name: str) -> Object | None:
        """Returns an object, None where it does not exist or could not be read."""
        return self.objects.get(kind.kind, {}).get(name)

    def runtime(self) -> Object | None:
        """Returns the SeldonRuntime that counts: of several the oldest."""
        return oldest(self.all(SELDON_RUNTIME))

    def scheduled_from(self) -> str:
        """Returns the other namespace whose scheduler serves this one, empty where its own does.

        A text that can name no namespace counts as none: it would become part of command lines.
        """
        asked = asked_of(self.runtime()) or redirected_to(self.get(SERVICE, names.SCHEDULER))
        return asked if asked != self.name and is_dns_label(asked) else ""

    def pods_of(self, server: str) -> tuple[Object, ...]:
        """Returns the pods that carry the label of a Server, of both operators."""
        return tuple(pod for pod in self.all(POD) if labels_of(pod).get(labels.SERVER) == server)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterObjects:
    """The part of the facts that the namespaces of a cluster share."""

    server: str
    """URL of the API server."""
    version: str = ""
    """`gitVersion` of the API server, empty where it did not tell."""
    definitions: Known[Mapping[str, Object]] = field(default_factory=dict)
    """The CustomResourceDefinitions of our group by name: `models.mlops.seldon.io`."""
    installations: Known[tuple[InstallationView, ...]] = ()
    """Bailie's operators."""
    upstream: Known[tuple[Object, ...]] = ()
    """Deployments of Seldon Core's operator, at work or not."""
    shared: Known[tuple[Object, ...]] = ()
    """SeldonConfigs and ServerConfigs of the namespaces in which operators run."""
    free_memory: Known[int] = field(default_factory=lambda: Unknown("it was not asked for"))
    """Bytes that no pod of any machine has requested."""
    free_processors: Known[int] = field(default_factory=lambda: Unknown("it was not asked for"))
    """Thousandths of a processor that no pod of any machine has requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlaces:
    """The namespaces of which the steps of a move read objects beside the one that moves, each empty for
    none."""

    central: str = ""
    """That of the central scheduler, where it is Bailie's."""
    home: str = ""
    """That of Bailie's operator, whose list gets the namespace."""
    foreign: str = ""
    """That of Seldon Core's operator."""
    ending: bool = False
    """Whether Helm's releases are read, as the end of a move needs them."""
    whole: bool = False
    """Whether workloads and all else that Seldon Core's operator makes are read in the namespace, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFacts:
    """All facts for the move of one namespace."""

    cluster: ClusterObjects
    here: NamespaceObjects
    central: NamespaceObjects | None = None
    """The namespace whose scheduler serves this one; None where it is this one, or is not known."""
    home: NamespaceObjects | None = None
    """The namespace of Bailie's operator, with its list; None where the steps need it not."""
    foreign: NamespaceObjects | None = None
    """The namespace of Seldon Core's operator; None where it is this one, or there is none."""
    runtimes_in: Known[frozenset[str]] = field(default_factory=lambda: Unknown("it was not asked for"))
    """The namespaces of the cluster that have a SeldonRuntime."""
    releases: Known[tuple[HelmRelease, ...]] = ()
    """The Helm releases whose objects go on, at the end of a move; none before."""
    at: str = ""
    """When the facts were read, as the API writes times; empty where no step asks."""
    missing: Known[tuple[Right, ...]] = ()
    """Rights that a move needs in the namespace, and that this account does not have there."""
    missing_in_central: Known[tuple[Right, ...]] = ()
    """The same for the namespace of the central scheduler."""
    missing_beside: Mapping[str, Known[tuple[Right, ...]]] = field(default_factory=dict)
    """The same for the namespaces of the two operators, where Seldon Core serves this one."""

    def place(self, name: str) -> NamespaceObjects | None:
        """Returns the objects of a namespace, None where it is none of those that were read."""
        places = (self.here, self.central, self.home, self.foreign)
        return next((each for each in places if each is not None and each.name == name), None)

    def present(self, kind: Kind, name: str, namespace: str) -> Object | None:
        """Returns an object of one of the namespaces, or a resource definition; None where it is not seen."""
        if not kind.namespaced:
            return dict(known(self.cluster.definitions)).get(name)
        place = self.place(namespace)
        return place.get(kind, name) if place is not None else None


def name_of(item: Object) -> str:
    """Returns the name of an object."""
    return str(item["metadata"]["name"])


def uid_of(item: Object) -> str:
    """Returns the uid of an object."""
    return str(item["metadata"].get("uid") or "")


def labels_of(item: Object) -> Mapping[str, str]:
    """Returns the labels of an object."""
    return item["metadata"].get("labels") or {}


def annotations_of(item: Object) -> Mapping[str, str]:
    """Returns the annotations of an object."""
    return item["metadata"].get("annotations") or {}


def is_going(item: Object) -> bool:
    """Says whether an object is being deleted."""
    return bool(item["metadata"].get("deletionTimestamp"))


def owners_of(item: Object) -> tuple[Object, ...]:
    """Returns the owner references of an object."""
    return tuple(item["metadata"].get("ownerReferences") or ())


def spec_of(item: Object) -> Object:
    """Returns the spec of an object."""
    return item.get("spec") or {}


def runtime_status(runtime: Object | None) -> SeldonRuntimeStatus:
    """Returns the status of a SeldonRuntime as far as it can be read."""
    return SeldonRuntimeStatus.told((runtime or {}).get("status"))


def condition_of(item: Object, kind: str) -> Object:
    """Returns the condition of a type, an empty one where the status has none, or cannot be read."""
    found = told_condition(item, kind)
    return found.manifest() if found else {}


def by_name(items: Iterable[Object]) -> dict[str, Object]:
    """Returns objects of one kind by name, in order."""
    return {name_of(item): item for item in sorted(items, key=name_of)}
