"""The operator's copy of the API: the objects of served namespaces, and its own namespace's configurations.

Read by the reconcilers, which read the API through nothing else. A namespace counts only when all its kinds
were listed, so that an object that is not listed yet is never taken for a deleted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.kinds import POD, SELDON_CONFIG, SELDON_RUNTIME, SERVER, SERVER_CONFIG
from bailie.api.seldon_config import RUN_COMPONENTS
from bailie.kube.informers import InformerSet
from bailie.manifests.objects import NAME_LABEL
from bailie.manifests.server import SERVER_COMPONENT
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client, Object
    from bailie.kube.informer import Key

SERVED_KINDS = (SELDON_RUNTIME, SERVER, SELDON_CONFIG, SERVER_CONFIG)
OWN_PODS = f"{NAME_LABEL} in ({','.join((*RUN_COMPONENTS, SERVER_COMPONENT))})"
"""Selects the pods of our workloads: a namespace may have thousands of other pods."""
CONFIG_KINDS = (SELDON_CONFIG, SERVER_CONFIG)
USED_BY = {SELDON_CONFIG: (SELDON_RUNTIME, "seldonConfig"), SERVER_CONFIG: (SERVER, "serverConfig")}
"""By kind of configuration: the kind of its users, and the field of their spec that names it."""


@dataclass(frozen=True, slots=True)
class MissingConfig:
    """A configuration that was not found; `message` says why.

    `pending`: the operator's own namespace is not listed yet, so the configuration may still be found.
    """

    message: str
    pending: bool = False


class OperatorCache:
    """The informers of the operator; `made` are the kinds of the objects that the operator makes."""

    def __init__(self, client: Client, home: str, made: Iterable[Kind]) -> None:
        self.home = home
        self.kinds = (*SERVED_KINDS, *made)
        self.served = InformerSet(client, self.kinds, labels={POD: OWN_PODS})
        self.shared = InformerSet(client, CONFIG_KINDS)
        self.shared.add(home)

    def is_known(self, namespace: str) -> bool:
        """Says whether the namespace is served and was listed as a whole."""
        return self.served.synced(namespace)

    def get(self, kind: Kind, key: Key) -> Object | None:
        """Returns the object as last seen."""
        informer = self.served.get(kind, key[0])
        return None if informer is None else informer.store.get(key)

    def objects(self, kind: Kind, namespace: str) -> list[Object]:
        """Returns the objects of a kind in a served namespace, by name."""
        informer = self.served.get(kind, namespace)
        return [] if informer is None else [informer.store[key] for key in sorted(informer.store)]

    def runtime_of(self, namespace: str) -> Object | None:
        """Returns the namespace's SeldonRuntime; of several only the oldest is served."""
        return oldest(self.objects(SELDON_RUNTIME, namespace))

    def config(self, kind: Kind, name: str, namespace: str) -> Object | MissingConfig:
        """Returns the configuration of this name from the namespace itself, else from the operator's."""
        found = self.get(kind, (namespace, name))
        if found is not None:
            return found
        informer = self.shared.get(kind, self.home)
        if informer is not None and (self.home, name) in informer.store:
            return informer.store[self.home, name]
        places = (
            f"namespace {namespace}" if namespace == self.home else f"namespace {namespace} or {self.home}"
        )
        message = f'there is no {kind.kind} "{name}" in {places}'
        if informer is not None and informer.failure is not None:
            return MissingConfig(f"{message}; {self.home} cannot be read: {informer.failure}")
        return MissingConfig(message, pending=not self.shared.synced(self.home))

    def users(self, config: Object) -> Iterator[tuple[Kind, Key]]:
        """Yields the objects that name the configuration, those with `disableAutoUpdate` included."""
        kind, field = next(
            used for config_kind, used in USED_BY.items() if config_kind.kind == config["kind"]
        )
        metadata = config["metadata"]
        namespaces = self.served.namespaces
        if metadata["namespace"] != self.home:
            namespaces = frozenset({metadata["namespace"]}) & namespaces
        for namespace in sorted(namespaces):
            for user in self.objects(kind, namespace):
                spec = user.get("spec") or {}
                if spec.get(field) == metadata["name"]:
                    yield kind, (namespace, user["metadata"]["name"])
