"""The refusals of the API, as Kubernetes `Status` objects.

Raised by the verbs, the authoriser and the request decoder; turned into a response once, in `app.py`.

    ApiError                any refusal: HTTP code, reason, message, details
    StateError              the state directory cannot be used; one sentence for people

The constructors below hold the exact wording of Kubernetes, because clients and people match on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubeapi.causes import Cause
    from kubeapi.kinds import ApiKind


class StateError(Exception):
    """The state directory is unreadable, full, in use or of another program."""


class ApiError(Exception):
    """A refusal with all the fields of its `Status` object."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    def status(self) -> dict[str, Any]:
        """Returns the `Status` object of this refusal."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def qualified(kind: ApiKind) -> str:
    """Returns a resource's full name: `models.mlops.seldon.io`, or `pods` for the core group."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def qualified_kind(kind: ApiKind) -> str:
    """Returns a kind's full name: `Model.mlops.seldon.io`, or `Pod` for the core group."""
    return f"{kind.kind}.{kind.group}" if kind.group else kind.kind


def _details(kind: ApiKind, name: str) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    return details


def not_found(kind: ApiKind, name: str) -> ApiError:
    """Returns the 404 for a missing object."""
    return ApiError(404, "NotFound", f'{qualified(kind)} "{name}" not found', details=_details(kind, name))


def unknown_path() -> ApiError:
    """Returns the 404 for a path that no resource serves."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message)


def no_revisions() -> ApiError:
    """Returns the 404 for the objects in which Kubernetes keeps earlier templates of StatefulSets."""
    message = (
        "no revisions of StatefulSets are kept here, so there is no history, and nothing to undo. Apply an "
        "earlier manifest of the object that the workload is made from, or use `helm rollback` for a release"
    )
    return ApiError(404, "NotFound", message)


def already_exists(kind: ApiKind, name: str) -> ApiError:
    """Returns the 409 for a name that is taken."""
    message = f'{qualified(kind)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(kind, name))


def conflict(kind: ApiKind, name: str, why: str) -> ApiError:
    """Returns the 409 for a write against another version of the object than the present one."""
    message = f'Operation cannot be fulfilled on {qualified(kind)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(kind, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def forbidden(kind: ApiKind, name: str, why: str) -> ApiError:
    """Returns the 403 in the words of Kubernetes' authoriser and admission."""
    what = f'{qualified(kind)} "{name}"' if name else qualified(kind)
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", details=_details(kind, name))


def terminating(kind: ApiKind, name: str, namespace: str) -> ApiError:
    """Returns the 403 for a create in a namespace that is being deleted."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(kind, name, why)
    error.details["causes"] = [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    return error


def invalid(kind: ApiKind, name: str, causes: Sequence[Cause]) -> ApiError:
    """Returns the 422 with one cause for each bad field."""
    parts = [f"{c.field}: {c.message}" if c.field else c.message for c in causes]
    listed = parts[0] if len(parts) == 1 else "[" + ", ".join(parts) + "]"
    details = _details(kind, name)
    details["kind"] = kind.kind
    details["causes"] = [c.as_dict() for c in causes]
    message = f'{qualified_kind(kind)} "{name}" is invalid: {listed}'
    return ApiError(422, "Invalid", message, details=details)


def bad_request(message: str) -> ApiError:
    """Returns the 400 for a body or a parameter that cannot be understood."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """Returns the 410 for a resourceVersion or a continue token that is no longer kept."""
    return ApiError(410, "Expired", message)


def unauthorized() -> ApiError:
    """Returns the 401 for a missing or unknown token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """Returns the 405 for a verb that the resource does not have."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def unsupported_media_type(got: str) -> ApiError:
    """Returns the 415 for a body in a format that this API does not read."""
    message = (
        f'the body of the request was in an unknown format - "{got}" is not one of: application/json, '
        "application/yaml, application/json-patch+json, application/merge-patch+json, "
        "application/strategic-merge-patch+json, application/apply-patch+yaml"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def internal(message: str) -> ApiError:
    """Returns the 500 for a failure of the server itself."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
