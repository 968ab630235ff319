"""How answers and exceptions become the tree of `bailie.kube.errors`."""

from __future__ import annotations

import json

import httpx2
import msgspec
import pytest

from bailie.kube import errors
from bailie.kube.lightkube_config import ConfigError


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (410, "Gone", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (503, "ServiceUnavailable", errors.Unreachable),
        (429, "TooManyRequests", errors.ApiError),
        (500, "InternalError", errors.ApiError),
    ],
)
def test_status_objects_are_told_apart(status, reason, expected):
    body = {"kind": "Status", "code": status, "reason": reason, "message": "because"}
    error = errors.from_response(status, json.dumps(body).encode())
    assert type(error) is expected
    assert (error.status, error.reason, str(error)) == (status, reason, "because")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_or_broken_server_may_answer_again(status):
    assert errors.from_response(status, b"").temporary
    assert errors.Unreachable("https://api: refused").temporary


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_a_refusal_stays_one(status):
    assert not errors.from_response(status, b"").temporary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"404 page not found\n", "HTTP 404: 404 page not found"),
        (b"", "HTTP 404"),
        (b"\xff", "HTTP 404: �"),
        (b"[1]", "HTTP 404: [1]"),
    ],
)
def test_an_answer_that_is_no_status_object_still_counts(content, message):
    error = errors.from_response(404, content)
    assert isinstance(error, errors.NotFound)
    assert str(error) == message


def test_an_applied_field_that_there_is_not_is_a_refusal_of_the_object():
    """A cluster tells it as a failure of its own, which waiting would not mend."""
    text = "failed to create typed patch object (a/w; v1, Kind=Secret): .x: field not declared in schema"
    error = errors.from_status({"kind": "Status", "code": 500, "reason": "InternalError", "message": text})
    assert isinstance(error, errors.Invalid)
    assert not error.temporary
    assert error.message == text


def test_invalid_carries_the_problems():
    causes = [{"field": "spec.replicas", "reason": "FieldValueInvalid", "message": "must be a number"}]
    body = {
        "kind": "Status",
        "code": 422,
        "reason": "Invalid",
        "message": "no",
        "details": {"causes": causes},
    }
    error = errors.from_status(body)
    assert isinstance(error, errors.Invalid)
    assert [str(problem) for problem in error.problems] == ["spec.replicas: must be a number"]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx2.ConnectError("refused"), errors.Unreachable),
        (httpx2.ReadTimeout(""), errors.Unreachable),
        (httpx2.RemoteProtocolError("cut"), errors.Unreachable),
        (ConnectionResetError("reset"), errors.Unreachable),
        (ConfigError("no token file"), errors.Unconfigured),
    ],
)
def test_exceptions_of_the_libraries_are_translated(raised, expected):
    with pytest.raises(expected) as caught, errors.translated("https://api"):
        raise raised
    assert caught.value.__cause__ is raised


DEEP = b"[" * 100_000 + b"]" * 100_000


def test_an_object_of_too_many_levels_is_the_worlds_failure():
    """It may be anybody's object; whoever follows other namespaces goes on."""
    with pytest.raises(errors.Unreachable, match="cannot be read as JSON"), errors.translated("https://api"):
        msgspec.json.decode(DEEP)
    assert isinstance(errors.from_response(404, DEEP), errors.NotFound)


def test_other_exceptions_pass():
    with pytest.raises(KeyError), errors.translated("https://api"):
        raise KeyError("bug")
