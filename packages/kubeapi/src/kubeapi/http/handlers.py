"""One small function for each verb: reads the request, calls the verbs, shapes the answer.

Called by `app.py` with an authorised `Call`. Decides neither about rights nor about the stored objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from kubeapi import errors, kinds
from kubeapi.access import accounts
from kubeapi.pods import logs, proxy
from kubeapi.registry.options import Place
from kubeapi.schemas import shapes
from kubeapi.schemas.schema import without_nulls
from kubeapi.verbs import filters, reading, scale, writing
from kubeapi.verbs.views import view_of
from kubeapi.verbs.watching import Watch
from kubeapi.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from kubeapi.access.rbac import User
    from kubeapi.access.reviews import Reviewer
    from kubeapi.registry.catalogue import Resource
    from kubeapi.registry.objects import Objects
    from kubeapi.registry.options import WriteOptions
    from kubeapi.storage.hub import Hub
    from kubeapi.storage.store import Obj
    from kubeapi.verbs.requests import Target
    from kubeapi.verbs.views import View

_REVIEWS = {kind.plural: kind for kind in kinds.REVIEWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read and authorised.

    `shown` is the resource that the path names, `resource` the resource whose objects it shows: they differ
    for aliases. `guard` checks an object before it is stored; `notices` says what the client is told about it
    then.
    """

    user: User
    verb: str
    resource: Resource
    shown: Resource
    target: Target
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    guard: Callable[[Obj, Obj | None], None] | None = None
    notices: Callable[[str, Obj], Sequence[str]] | None = None

    @property
    def place(self) -> Place:
        """The object that the path names."""
        return Place(self.resource, self.target.namespace, self.target.name)

    @property
    def scope(self) -> str | None:
        """The namespace to which a collection is limited; None for all of them."""
        return (self.target.namespace or None) if self.resource.kind.namespaced else ""

    @property
    def content_type(self) -> str:
        """The format of the body."""
        return self.headers.get("content-type", "")

    @property
    def view(self) -> View:
        """The form in which the client wants to see objects."""
        return view_of(self.shown, self.headers.get("accept", ""), self.query)

    @property
    def options(self) -> WriteOptions:
        """The options of a write."""
        options = writing.write_options(self.query, self.target, self.headers.get("user-agent", ""))
        return replace(options, guard=self.guard)

    def present(self, obj: Obj) -> Obj:
        """Returns a stored object in the form that this path shows."""
        conversion = self.shown.conversion
        return obj if conversion is None else conversion.shown(obj)

    def keep(self, obj: Obj) -> Obj:
        """Returns an object of this path in the form in which it is stored."""
        conversion = self.shown.conversion
        return obj if conversion is None else conversion.kept(obj)

    def decoded(self) -> Obj:
        """Returns the object in the body, in the form in which it is stored."""
        return self.keep(writing.decode_for(self.target, self.shown, self.body, self.content_type))

    def answer(self, obj: Obj, options: WriteOptions, *, status: int = 200) -> ASGIApp:
        """Returns the response to a write."""
        told = self.notices(self.resource.key, obj) if self.notices and not self.target.subresource else ()
        return codec.json_response(self.present(obj), status=status, warnings=[*options.warnings, *told])


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The verbs over HTTP."""

    objects: Objects
    hub: Hub
    reviewer: Reviewer
    log_dir: Path | None
    addresses: Path | None
    _by_verb: dict[str, Callable[[Handlers, Call], ASGIApp]] = field(
        default_factory=lambda: {
            "get": Handlers.get,
            "list": Handlers.list,
            "watch": Handlers.watch,
            "create": Handlers.create,
            "update": Handlers.update,
            "patch": Handlers.patch,
            "delete": Handlers.delete,
            "deletecollection": Handlers.delete_collection,
        }
    )

    def answer(self, call: Call) -> ASGIApp:
        """Returns the response to a call.

        Raises:
            ApiError: the request is refused.
        """
        return self._by_verb[call.verb](self, call)

    def get(self, call: Call) -> ASGIApp:
        """Returns an object, its scale, a Pod's log, or a Pod's own answer."""
        if call.target.subresource == "log":
            return self._log(call)
        if call.target.subresource == "proxy":
            return self._proxy(call)
        _only(call, "", "status", "scale")
        obj = self.objects.read(call.place)
        if call.target.subresource == "scale":
            return codec.json_response(scale.scale_of(obj, call.resource))
        return codec.json_response(call.view.one(call.present(obj)))

    def _proxy(self, call: Call) -> ASGIApp:
        if call.resource.key != "/pods":
            raise errors.unknown_path()
        name, port = proxy.door_of(call.target.name)
        pod = self.objects.read(replace(call.place, name=name))
        url = f"http://{proxy.address_of(pod, self.addresses)}:{port}/{quote(call.target.rest)}"
        query = urlencode(list(call.query.items()))
        return proxy.PodProxy(f"{url}?{query}" if query else url, proxy.Limits())

    def _log(self, call: Call) -> ASGIApp:
        if call.resource.key != "/pods":
            raise errors.unknown_path()
        pod = self.objects.read(call.place)
        container = logs.container_of(pod, call.query)
        if self.log_dir is None:
            raise errors.bad_request("this server was started without a log directory")
        path = self.log_dir / call.target.namespace / call.target.name / f"{container}.log"
        uid = pod["metadata"]["uid"]

        def is_over() -> bool:
            return self.hub.closed or not self.objects.store.exists(uid)

        return logs.PodLog(path, call.query, is_over=is_over)

    def list(self, call: Call) -> ASGIApp:
        """Returns a collection."""
        body = reading.collection(self.objects.store, call.resource, call.scope, call.query)
        if call.view.form or call.shown.conversion:
            listed = orjson.loads(body)
            listed["apiVersion"] = call.shown.kind.api_version
            listed["items"] = [call.present(item) for item in listed["items"]]
            return codec.json_response(call.view.many(listed))
        return codec.encoded_response(body)

    def watch(self, call: Call) -> ASGIApp:
        """Returns the changes of a collection, or of one object (`?watch` on its own path)."""
        show, query = call.view.watched(), dict(call.query)
        if call.target.name:
            query["fieldSelector"] = f"metadata.name={call.target.name}"
        return Watch(self.hub, call.resource, call.scope, query, show=lambda obj: show(call.present(obj)))

    def create(self, call: Call) -> ASGIApp:
        """Creates an object, or answers a review or a request for a token."""
        if call.resource.kind.plural in _REVIEWS:
            return self._review(call)
        if call.target.subresource == "token" and call.resource.key == "/serviceaccounts":
            body = without_nulls(codec.decode_object(call.body, call.content_type)) if call.body else {}
            shapes.check("TokenRequest", shapes.REVIEW, body)
            answer = accounts.request_token(self.objects, self.reviewer.tokens, call.place, body)
            return codec.json_response(answer, status=201)
        if call.target.name:
            raise errors.method_not_allowed()
        options = call.options
        stored = self.objects.create(call.resource, call.target.namespace, call.decoded(), options)
        return call.answer(stored, options, status=201)

    def _review(self, call: Call) -> ASGIApp:
        body = without_nulls(codec.decode_object(call.body, call.content_type))
        shapes.check(call.resource.kind.kind, shapes.REVIEW, body)
        answer = self.reviewer.answer(call.resource.kind, call.user, body)
        return codec.json_response(answer, status=201)

    def update(self, call: Call) -> ASGIApp:
        """Replaces an object by the one in the body (PUT)."""
        sub, options = _only(call, "", "status", "scale"), call.options
        if sub == "scale":
            wanted = codec.decode_object(call.body, call.content_type)
            return codec.json_response(scale.update(self.objects, call.place, lambda _old: wanted, options))
        obj = call.decoded()
        return call.answer(self.objects.update(call.place, lambda _old: obj, options), options)

    def patch(self, call: Call) -> ASGIApp:
        """Changes an object by a patch of any kind (PATCH)."""
        sub, options = _only(call, "", "status", "scale"), call.options
        if codec.media_type(call.content_type) == writing.APPLY:
            if sub == "scale":
                raise errors.unsupported_media_type(call.content_type)
            config = call.keep(writing.decode_applied(call.query, call.target, call.shown, call.body))
            stored, created = self.objects.apply(call.place, config, options)
            return call.answer(stored, options, status=201 if created else 200)
        change = writing.change_of(call.content_type, call.body, call.shown)
        if sub == "scale":
            return codec.json_response(scale.update(self.objects, call.place, change, options))
        stored = self.objects.update(call.place, lambda old: call.keep(change(call.present(old))), options)
        return call.answer(stored, options)

    def delete(self, call: Call) -> ASGIApp:
        """Deletes one object."""
        _only(call, "")
        options = writing.delete_options(call.query, call.body, call.content_type)
        return codec.json_response(writing.delete(self.objects, call.place, options))

    def delete_collection(self, call: Call) -> ASGIApp:
        """Deletes the objects that the selectors select; answers with their list."""
        options = writing.delete_options(call.query, call.body, call.content_type)
        if call.resource.kind.namespaced and call.scope is None:
            raise errors.method_not_allowed()
        matches = filters.selector_of(call.query, call.resource) or (lambda _obj: True)
        found = [obj for obj in self.objects.store.objects(call.resource.key, call.scope) if matches(obj)]
        for obj in found:
            meta = obj["metadata"]
            place = Place(call.resource, meta.get("namespace", ""), meta["name"])
            self.objects.delete(place, options)
        kind = call.resource.kind
        meta = {"resourceVersion": str(self.objects.store.revision)}
        answer: Obj = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta}
        return codec.encoded_response(orjson.dumps(answer | {"items": found}))


def _only(call: Call, *subresources: str) -> str:
    """Returns the subresource asked for, if it is one of these and the kind has it.

    Raises:
        ApiError: there is no such path.
    """
    sub = call.target.subresource
    served: dict[str, Any] = {"": True, "status": call.resource.status, "scale": call.resource.scale}
    if sub not in subresources or not served.get(sub):
        raise errors.unknown_path()
    return sub
