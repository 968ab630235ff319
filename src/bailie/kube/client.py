"""The client of a Kubernetes API server: one method per verb, objects as plain dicts, one exception tree.

It talks to the embedded API and to real ones alike. It sends one request per call and never
retries, caches or waits: informers and controllers decide that. A watch ends when the server ends it.

lightkube gives the kubeconfig, in-cluster credentials, token rotation and TLS (`KubeConfig`,
`ConnectionParams`). Its resource layer is left out on purpose: it restarts watches by itself and turns their
ERROR events into control flow, has no delete preconditions, keys every call on registered Python classes, and
wraps each dict that it returns.
"""

from __future__ import annotations

import copy
import enum
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx2
import msgspec

from bailie.api import kinds
from bailie.api.kinds import Kind
from bailie.kube import errors
from bailie.kube.connections import http_options, timeouts
from bailie.kube.kubeconfig import environment_config, read_config
from bailie.kube.paths import namespace_of_path, object_path
from bailie.kube.server_warnings import server_warnings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from bailie.kube.lightkube_config import SingleConfig

Object = dict[str, Any]
"""A Kubernetes object as plain JSON data."""

_WATCH_SECONDS = 300
"""Asked of the server: it ends a watch after 1 to 1.5 times this."""
_WATCH_SILENCE_SECONDS = 120.0
"""A watch that brings nothing this long, not even a bookmark (one a minute), has lost its server."""
_PAGE = 500
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for lists without specs and contents: https://kubernetes.io/docs/reference/using-api/api-concepts/"""
_KINDS: Mapping[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind for kind in vars(kinds).values() if isinstance(kind, Kind)
}


class Guard(Protocol):
    """Decides about writes at the last moment before they are sent."""

    def check(self, namespace: str | None) -> None:
        """Raises Withheld when nothing may be written there (None: outside of namespaces)."""

    def refused(self, namespace: str | None) -> None:
        """Takes note that the server answered Forbidden, to a read or a write."""


class PatchType(enum.Enum):
    """The content type of a patch."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A list at one moment; `resource_version` is where a watch goes on from."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch. `type` is ADDED, MODIFIED, DELETED or BOOKMARK (only a resourceVersion)."""

    type: str
    object: Object


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """Returns the Kind of a manifest. Raises ValueError for one that `bailie.api.kinds` does not list."""
    key = (str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
    if key not in _KINDS:
        raise ValueError(f"{key[0]} {key[1]} is not a kind that Bailie uses")
    return _KINDS[key]


class Client:
    """Talks to one API server with one identity. An async context manager; `aclose` otherwise."""

    def __init__(self, config: SingleConfig) -> None:
        """Takes a context of a kubeconfig. Raises Unconfigured."""
        self._guard: Guard | None = None
        self._hear: Callable[[str], None] | None = None
        self.server: str = config.cluster.server
        self.namespace: str = config.namespace
        """The namespace of the kubeconfig's context, else `default`. No method uses it by itself."""
        with errors.translated_configuration(str(config.fname or "of the pod's service account")):
            self.connection_options = http_options(config)  # for further connections of this identity
            self._http = httpx2.AsyncClient(**self.connection_options)

    @classmethod
    def from_environment(cls) -> Self:
        """Uses KUBECONFIG, else the pod's service account, else ~/.kube/config. Raises Unconfigured."""
        return cls(environment_config())

    @classmethod
    def from_kubeconfig(cls, path: Path | str) -> Self:
        """Uses the current context of a kubeconfig file. Raises Unconfigured."""
        return cls(read_config(path))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections, watches with them, but for those that are apart."""
        await self._http.aclose()

    def guarded(self, guard: Guard) -> Self:
        """Returns a twin that asks `guard` before each write. It shares the connections; it needs no end."""
        twin = copy.copy(self)
        twin._guard = guard  # noqa: SLF001 - of this class
        return twin

    def hearing(self, hear: Callable[[str], None]) -> Self:
        """Returns a twin that hands on the server's warnings about its writes. It shares the connections."""
        twin = copy.copy(self)
        twin._hear = hear  # noqa: SLF001 - of this class
        return twin

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Self]:
        """Yields a twin with connections of its own, for watches.

        httpcore goes over all connections of its pool at each request: the connections of hundreds of watches
        would slow all requests down.
        """
        twin = copy.copy(self)
        twin._http = httpx2.AsyncClient(**self.connection_options)  # noqa: SLF001 - of this class
        async with twin:
            yield twin

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Reads one object. Raises NotFound."""
        return await self.call("GET", object_path(kind, namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
    ) -> ObjectList:
        """Reads a collection, of all namespaces when `namespace` is None. Selectors as in kubectl.

        With `metadata_only` the server sends only the metadata: nothing of the content of Secrets.
        """
        params = {"labelSelector": labels, "fieldSelector": fields, "limit": str(_PAGE), "continue": None}
        items: list[Object] = []
        while True:
            accept = _METADATA if metadata_only else _JSON
            page = await self.call("GET", object_path(kind, namespace), params=params, accept=accept)
            named = {"apiVersion": kind.api_version, "kind": kind.kind}
            items += [item | named for item in page.get("items") or ()]
            metadata = page.get("metadata") or {}
            params["continue"] = metadata.get("continue") or None
            if params["continue"] is None:
                return ObjectList(items, str(metadata.get("resourceVersion", "")))

    @asynccontextmanager
    async def open_watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """Enters once the server has accepted the watch, and closes the watch on exit.

        The iterator yields what changed after `resource_version`, bookmarks included, until the server ends
        the watch. Raises Gone when the version is too old, Unreachable when the connection breaks.
        """
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(int(_WATCH_SECONDS * random.uniform(1, 1.5))),  # noqa: S311
            "labelSelector": labels,
            "fieldSelector": fields,
        }
        path, timeout = object_path(kind, namespace), timeouts(read=_WATCH_SILENCE_SECONDS)
        query = _given(params)
        request = self._http.build_request(
            "GET", path, params=query, headers={"Accept": _JSON}, timeout=timeout
        )
        with errors.translated(self.server):
            response = await self._http.send(request, stream=True)
        try:
            if response.status_code >= 400:
                with errors.translated(self.server):
                    content = await response.aread()
                raise errors.from_response(response.status_code, content)
            yield self._events(response)
        finally:
            await response.aclose()

    async def _events(self, response: httpx2.Response) -> AsyncIterator[WatchEvent]:
        with errors.translated(self.server):
            async for line in response.aiter_lines():
                if line.strip():
                    yield _event(line)

    async def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Creates the object, or with `dry_run` only tries it. Raises AlreadyExists, Invalid."""
        kind = kind_of(obj)
        params = {"dryRun": "All" if dry_run else None}
        return await self.call("POST", object_path(kind, _namespace(kind, obj)), params=params, body=obj)

    async def replace(self, obj: Mapping[str, Any], subresource: str | None = None) -> Object:
        """Writes the whole object (or its `status`). Raises Conflict when its resourceVersion is stale."""
        kind = kind_of(obj)
        path = object_path(kind, _namespace(kind, obj), obj["metadata"]["name"], subresource)
        return await self.call("PUT", path, body=obj)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        body: object,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the word of the protocol
        subresource: str | None = None,
    ) -> Object:
        """Changes fields. `body` is an object for MERGE, a list of operations for JSON."""
        path = object_path(kind, namespace, name, subresource)
        return await self.call("PATCH", path, body=body, content_type=type.value)

    async def scale(self, obj: Mapping[str, Any], replicas: int, *, field_manager: str) -> Object:
        """Sets the number of replicas by the scale subresource; returns the Scale.

        Raises Conflict when the object is not the newest.
        """
        kind, metadata = kind_of(obj), obj["metadata"]
        path = object_path(kind, _namespace(kind, obj), metadata["name"], "scale")
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"replicas": replicas}}
        return await self.call(
            "PATCH",
            path,
            params={"fieldManager": field_manager},
            body=body,
            content_type=PatchType.MERGE.value,
        )

    async def apply(
        self,
        obj: Mapping[str, Any],
        *,
        field_manager: str = "bailie",
        force: bool = False,
        subresource: str | None = None,
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        """Applies on the server's side: creates, or takes exactly these fields. Raises Conflict, Invalid.

        With `dry_run` the server stores nothing; with `strict` unknown fields are refused, not dropped.
        """
        kind = kind_of(obj)
        path = object_path(kind, _namespace(kind, obj), obj["metadata"]["name"], subresource)
        params = {
            "fieldManager": field_manager,
            "force": "true" if force else None,
            "dryRun": "All" if dry_run else None,
            "fieldValidation": "Strict" if strict else None,
        }
        return await self.call(
            "PATCH", path, params=params, body=obj, content_type="application/apply-patch+yaml"
        )

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes one object. Raises NotFound, and Conflict when another object than `uid` has the name.

        `propagation` is Background, Foreground or Orphan; the server's default otherwise. A blank name, which
        would mean the whole collection, raises ValueError.
        """
        if not name:
            raise ValueError(f"no name of the {kind.kind} to delete")
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if propagation is not None:
            body["propagationPolicy"] = propagation
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        await self.call("DELETE", object_path(kind, namespace, name), body=body)

    async def log(
        self,
        pod: str,
        namespace: str,
        *,
        container: str | None = None,
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncIterator[str]:
        """Yields a pod's log in pieces as they come; with `follow` until the pod ends. Raises NotFound."""
        params = {"container": container, "follow": "true" if follow else None}
        params["tailLines"] = str(tail) if tail is not None else None
        timeout = timeouts(read=None) if follow else timeouts()
        path = object_path(kinds.POD, namespace, pod, "log")
        with errors.translated(self.server):
            async with self._http.stream("GET", path, params=_given(params), timeout=timeout) as response:
                if response.status_code >= 400:
                    raise errors.from_response(response.status_code, await response.aread())
                async for piece in response.aiter_text():
                    yield piece

    async def ask_pod(self, pod: str, namespace: str, port: int, path: str) -> Object:
        """Returns the JSON that a pod answers to a GET, by way of the API server. Raises ApiError."""
        return await self.call("GET", f"{object_path(kinds.POD, namespace, f'{pod}:{port}', 'proxy')}/{path}")

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | None] | None = None,
        body: object = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Object:
        """Sends one request and returns the JSON answer: for token requests, access reviews and the like."""
        headers = {"Accept": accept} if body is None else {"Accept": accept, "Content-Type": content_type}
        content = None if body is None else msgspec.json.encode(body)
        if self._guard is not None and method != "GET":
            self._guard.check(namespace_of_path(path))
        with errors.translated(self.server):
            response = await self._http.request(
                method, path, params=_given(params or {}), content=content, headers=headers
            )
            if response.status_code >= 400:
                raise self._error(response, path)
            if self._hear is not None:
                for warning in server_warnings(response.headers.get_list("warning")):
                    self._hear(warning)
            return msgspec.json.decode(response.content, type=Object)

    def _error(self, response: httpx2.Response, path: str) -> errors.ApiError:
        error = errors.from_response(response.status_code, response.content)
        if self._guard is not None and isinstance(error, errors.Forbidden):
            self._guard.refused(namespace_of_path(path))
        return error


def _event(line: str) -> WatchEvent:
    event = msgspec.json.decode(line)
    if event["type"] == "ERROR":
        raise errors.from_status(event["object"])
    return WatchEvent(event["type"], event["object"])


def _given(params: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in params.items() if value is not None}


def _namespace(kind: Kind, obj: Mapping[str, Any]) -> str | None:
    namespace = obj["metadata"].get("namespace")
    if kind.namespaced and not namespace:
        raise ValueError(f"{kind.kind} {obj['metadata'].get('name', '')} names no namespace")
    return namespace if kind.namespaced else None
