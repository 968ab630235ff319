"""The HTTP application: finds user, verb and right of a request, calls one handler, sends one answer.

Served by `server.py` (uvicorn). This is the only module that turns refusals into responses and knows the
order of the steps; `objects.py` has the meaning of the verbs, `requests.py` that of the paths.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from uvicorn.protocols.utils import ClientDisconnected

from kubeapi import errors, kinds, limits
from kubeapi.access.auth import Authoriser, Tokens
from kubeapi.access.escalation import guard_of
from kubeapi.access.impersonation import effective_user
from kubeapi.access.rbac import PUBLIC_PATHS, Attributes, User, refusal
from kubeapi.access.reviews import Reviewer
from kubeapi.discovery.documents import Descriptions
from kubeapi.http.handlers import Call, Handlers
from kubeapi.http.upgrades import SERVED, Upgrades
from kubeapi.registry.objects import Objects
from kubeapi.storage.hub import Hub
from kubeapi.verbs import requests
from kubeapi.wire import codec

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from kubeapi.http.audit import AuditLog
    from kubeapi.registry.catalogue import Catalogue, Resource
    from kubeapi.settings import Settings
    from kubeapi.storage.store import Store
    from kubeapi.verbs.requests import Target

log = structlog.get_logger(__name__)
_BODY_SECONDS = 30.0
_REVISIONS = ("apps", "controllerrevisions")
"""The resource that `kubectl rollout history` and `rollout undo` read for StatefulSets."""
_MAJOR, _MINOR, _ = kinds.KUBERNETES.split(".")
_VERSION = {
    "major": _MAJOR,
    "minor": _MINOR,
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


class App:
    """The ASGI application over one store."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        settings: Settings,
        audit: AuditLog | None = None,
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.descriptions = Descriptions(catalogue)
        self.hub = Hub(store)
        self._version = _VERSION | {"gitVersion": f"v{kinds.KUBERNETES}+{settings.name}"}
        self.objects = Objects(store)
        self.tokens = Tokens(store)
        self.authoriser = Authoriser(store)
        self._audit = audit
        self._notices = settings.notices
        self.handlers = Handlers(
            objects=self.objects,
            hub=self.hub,
            reviewer=Reviewer(self.tokens, self.authoriser),
            log_dir=settings.log_dir,
            addresses=settings.addresses,
        )
        self.upgrades = Upgrades(
            read=lambda call: self.objects.read(call.place),
            addresses=settings.addresses,
            node=settings.node,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http":
            request: HTTPConnection = Request(scope, receive)
        elif scope["type"] == "websocket":
            request = HTTPConnection(scope)
        else:
            return
        try:
            response: ASGIApp = await self._answer(request)
        except errors.ApiError as error:
            response = codec.error_response(error)
        except ClientDisconnect:
            return
        except errors.StateError as error:
            log.error("state directory failed", error=str(error))  # noqa: TRY400 - the sentence says all
            response = codec.error_response(errors.internal(str(error)))
        except Exception as error:
            log.exception("request failed", type=scope["type"], path=scope["path"])
            response = codec.error_response(errors.internal(f"{type(error).__name__}: {error}"))
        if scope["type"] == "websocket":
            await _while_connected(response, scope, receive, send)
        else:
            await response(scope, receive, send)

    async def _answer(self, request: HTTPConnection) -> ASGIApp:
        path = str(request.scope["path"])  # the URL's would depend on the Host header, which may be none
        user = self._authenticate(request)
        target = requests.target_of(path)
        if target is None:
            return self._answer_path(request, user, path)
        if user is None:
            raise errors.unauthorized()
        verb = requests.verb_of(_method(request), target, request.query_params)
        asked = requests.attributes_of(verb, target, request.query_params)
        try:
            answer = await self._answer_resource(request, user, asked, target)
        except errors.ApiError as error:
            self._note(request, user, asked, error.code)
            raise
        self._note(request, user, asked, getattr(answer, "status_code", 200))
        return answer

    def _note(self, request: HTTPConnection, user: User, asked: Attributes, code: int) -> None:
        if self._audit is not None:
            dry_run = request.query_params.get("dryRun") == "All"
            self._audit.write(user, asked, code, dry_run=dry_run)

    async def _answer_resource(
        self, request: HTTPConnection, user: User, asked: Attributes, target: Target
    ) -> ASGIApp:
        verb = asked.verb
        self._authorise(user, asked, target)
        resource = self._resource(target, verb)
        body = b"" if verb in requests.READING else await _whole_body(request)
        if codec.is_slow(body, request.headers.get("content-type", "")):
            body = await asyncio.to_thread(codec.json_of_yaml, body)
        call = Call(
            user=user,
            verb=verb,
            resource=self.catalogue.stored(resource.key) or resource,
            shown=resource,
            target=target,
            query=request.query_params,
            headers=request.headers,
            body=body,
            guard=guard_of(self.authoriser, user, resource),
            notices=self._notices,
        )
        if request.scope["type"] == "websocket":
            return self.upgrades.answer(call, request.query_params, request.scope["subprotocols"])
        if target.subresource in SERVED:
            self.upgrades.refuse(call, request.query_params)
        return self.handlers.answer(call)

    def _authenticate(self, request: HTTPConnection) -> User | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = self.tokens.user(token.strip())
        if user is None:
            raise errors.unauthorized()
        return effective_user(user, request.headers, self.authoriser)

    def _answer_path(self, request: HTTPConnection, user: User | None, path: str) -> Response:
        if path not in PUBLIC_PATHS:
            if user is None:
                raise errors.unauthorized()
            asked = Attributes(verb=_method(request).lower(), path=path)
            if not self.authoriser.allowed(user, asked):
                message = f"forbidden: {refusal(user, asked)}"
                raise errors.ApiError(403, "Forbidden", message)
        if path.rstrip("/") in {"/healthz", "/livez", "/readyz"}:
            return codec.encoded_response(b"ok")
        if path.rstrip("/") == "/version":
            return codec.json_response(self._version)
        described = self.descriptions.answer(path, request.headers.get("accept", ""))
        response = codec.encoded_response(described.body)
        response.headers["content-type"] = described.media
        return response

    def _authorise(self, user: User, asked: Attributes, target: Target) -> None:
        if self.authoriser.allowed(user, asked):
            return
        resource = self.catalogue.find(target.group, target.version, target.plural)
        if resource is None:
            what = f"{target.plural}.{target.group}" if target.group else target.plural
            raise errors.ApiError(403, "Forbidden", f"{what} is forbidden: {refusal(user, asked)}")
        raise errors.forbidden(resource.kind, target.name, refusal(user, asked))

    def _resource(self, target: Target, verb: str) -> Resource:
        resource = self.catalogue.find(target.group, target.version, target.plural)
        if resource is None and (target.group, target.plural) == _REVISIONS:
            raise errors.no_revisions()
        if resource is None or (target.namespace and not resource.kind.namespaced):
            raise errors.unknown_path()
        if (
            resource.kind.namespaced
            and not target.namespace
            and (target.name or verb not in {"list", "watch"})
        ):
            raise errors.unknown_path() if target.name else errors.method_not_allowed()
        if verb not in resource.verbs:
            raise errors.method_not_allowed()
        return resource


def _method(request: HTTPConnection) -> str:
    return str(request.scope.get("method", "GET"))  # a WebSocket begins with a GET


async def _while_connected(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Ends the application when the client is gone, whatever it waits for."""
    gone: asyncio.Event = scope["state"]["gone"]

    async def answer() -> None:
        with suppress(ClientDisconnected):
            await response(scope, receive, send)

    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(answer())
        leaving = tasks.create_task(gone.wait())
        leaving.add_done_callback(lambda _: answering.cancel())
        answering.add_done_callback(lambda _: leaving.cancel())


async def _whole_body(request: HTTPConnection) -> bytes:
    if not isinstance(request, Request):
        return b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await _body(request)
    except TimeoutError:
        words = f"the body of the request was not whole within {_BODY_SECONDS:g} s"
        raise errors.ApiError(408, "Timeout", words) from None


async def _body(request: Request) -> bytes:
    """Returns the body, of which no more is read than a body may have."""
    parts, length = [], 0
    async for part in request.stream():
        parts.append(part)
        length += len(part)
        if length > limits.LARGEST:
            break
    return b"".join(parts)
