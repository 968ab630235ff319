"""The failures between us and a Kubernetes API server, as one small tree.

    ApiError               the server said no, or said nothing
    ├── Unreachable        no (whole) answer: refused, reset, timed out, TLS, 5xx of something in between
    ├── Unconfigured       no kubeconfig, or one that cannot be used
    ├── Unauthorized       401: the token is missing, wrong or expired
    ├── Forbidden          403: RBAC (or a quota) says no
    ├── NotFound           404: no such object, or the kind is not served
    ├── Conflict           409: another client changed the object, or owns the field
    ├── AlreadyExists      409: create of a name that is taken
    ├── Gone               410: the resource version is too old; list again
    ├── Invalid            400, 422, and 500 for unknown fields of an apply: the object is refused; `problems`
    │                      says where
    └── Withheld           not sent: this process may not write there any more (`Client.guarded`)

`client` raises only these; no module above it sees an exception of lightkube or httpx2. Translation happens
here, once. Anything not in the tree (429, 500, …) is the base class with its `status`; `temporary` says
whether the same request may succeed later.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import yaml

from bailie.api.problems import Problem
from bailie.kube.lightkube_config import ConfigError
from bailie.settings.reader import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_TOO_MANY, _SERVER_FAILS = 429, 500


class ApiError(Exception):
    """An answer that is not a success, or no answer.

    Attributes:
        status: HTTP status, 0 when there was none.
        reason: the CamelCase token of the server's Status object, empty when there was none.
        message: a sentence for people.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason

    @property
    def temporary(self) -> bool:
        """Whether the server is away, overloaded (429) or broken (5xx), so that waiting may help."""
        return self.status == _TOO_MANY or self.status >= _SERVER_FAILS


class Unreachable(ApiError):
    """No whole answer came; whether a write took effect is unknown."""

    @property
    def temporary(self) -> bool:
        """True: the server may answer again."""
        return True


class Unconfigured(ApiError):
    """There is no usable kubeconfig."""


class Unauthorized(ApiError):
    """The credentials are not accepted."""


class Forbidden(ApiError):
    """The credentials are good, the right is missing."""


class NotFound(ApiError):
    """The object is not there, or its kind is not served."""


class Conflict(ApiError):
    """The object changed since it was read, a precondition failed, or another field manager owns a field."""


class AlreadyExists(ApiError):
    """The name is taken."""


class Gone(ApiError):
    """The resource version asked for is no longer kept."""


class Withheld(ApiError):
    """The write was not sent: this process has lost the lease that entitles to it."""


class Invalid(ApiError):
    """The server refuses the content.

    Attributes:
        problems: one per field, where the server says.
    """

    problems: tuple[Problem, ...] = ()


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}
_UNTYPED = "failed to create typed patch object"
"""The answer to an applied object with a field that there is not, or with two items of one key. A cluster
tells it as a failure of its own (500), and the same request always has it."""
_BY_REASON: Mapping[str, type[ApiError]] = {"AlreadyExists": AlreadyExists, "Expired": Gone}


def from_status(body: Mapping[str, Any], *, fallback: int = 0) -> ApiError:
    """Makes the error that a `Status` object describes (a response, or the ERROR event of a watch)."""
    status = int(body.get("code") or fallback)
    reason, message = str(body.get("reason") or ""), str(body.get("message") or f"HTTP {status}")
    if message.startswith(_UNTYPED):
        status = 422
    kind = _BY_REASON.get(reason) or _BY_STATUS.get(status, ApiError)
    error = kind(message, status=status, reason=reason)
    if isinstance(error, Invalid):
        error.problems = _problems(body.get("details") or {})
    return error


def _problems(details: Mapping[str, Any]) -> tuple[Problem, ...]:
    return tuple(
        Problem(str(cause.get("field", "")), str(cause.get("reason", "")), str(cause.get("message", "")))
        for cause in details.get("causes") or ()
    )


def from_response(status: int, content: bytes) -> ApiError:
    """Makes the error for a response that is not a success; the body need not be a Status object."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return from_status(body, fallback=status)
    text = content[:200].decode(errors="replace").strip()
    return from_status({"message": f"HTTP {status}: {text}" if text else f"HTTP {status}"}, fallback=status)


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Turns the exceptions of the libraries below into this tree. `server` is the URL for the message."""
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as error:
        cause = str(error) or type(error).__name__
        raise Unreachable(f"{server}: {cause}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # RecursionError: some object has a thousand levels. It must not end tasks that follow other
        # namespaces.
        raise Unreachable(f"{server}: the answer cannot be read as JSON: {error}") from error
    except ConfigError as error:
        raise Unconfigured(str(error)) from error


@contextmanager
def translated_settings() -> Iterator[None]:
    """Turns a variable that cannot be used into Unconfigured."""
    try:
        yield
    except SettingsError as error:
        raise Unconfigured(str(error)) from error


@contextmanager
def translated_configuration(path: str) -> Iterator[None]:
    """Turns the exceptions of libraries about a broken kubeconfig into Unconfigured."""
    try:
        yield
    except KeyError as error:
        raise Unconfigured(f"kubeconfig {path}: it lacks {error}") from error
    except FileNotFoundError as error:
        raise Unconfigured(f"there is no kubeconfig {path}") from error
    except OSError as error:
        raise Unconfigured(f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise Unconfigured(f"kubeconfig {path}: it has too many levels") from error
    except (TypeError, AttributeError) as error:
        raise Unconfigured(
            f"kubeconfig {path}: a part of it has another type than it should: {error}"
        ) from error
    except (ConfigError, ValueError, yaml.YAMLError, msgspec.MsgspecError) as error:
        raise Unconfigured(f"kubeconfig {path}: {error}") from error
