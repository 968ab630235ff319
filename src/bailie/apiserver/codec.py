"""Bodies in and out: JSON and YAML to objects, objects and refusals to responses.

Called by `app.py` and the handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from bailie.apiserver import errors, protobuf

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_BODY = 3 * 1024 * 1024
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_YAML = ("application/yaml", "application/apply-patch+yaml", "text/yaml")


def media_type(header: str) -> str:
    """The media type of a Content-Type header without its parameters."""
    return header.partition(";")[0].strip().lower()


def decode(body: bytes, content_type: str) -> Any:
    """The JSON data in a request's body.

    Raises:
        ApiError: the body is malformed, too large or in a format that is not read here.
    """
    if len(body) > LARGEST_BODY:
        message = f"Request entity too large: limit is {LARGEST_BODY}"
        raise errors.ApiError(413, "RequestEntityTooLarge", message)
    kind = media_type(content_type)
    if kind in _YAML:
        return _from_yaml(body)
    if kind == _PROTOBUF:
        return _from_protobuf(body)
    if kind and not kind.endswith("json"):
        raise errors.unsupported_media_type(content_type)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"the body of the request is not valid JSON: {error}") from None


def _from_yaml(body: bytes) -> Any:
    """JSON data from YAML: a time stays text, and keys are texts, whatever YAML makes of them."""
    import yaml  # noqa: PLC0415 - loaded only where somebody sends YAML

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say it
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        if body[:1] == b"{":
            return orjson.loads(body)
        found = yaml.load(body, Loader)  # noqa: S506 - a SafeLoader with fewer types
        return orjson.loads(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, yaml.YAMLError) as error:
        raise errors.bad_request(f"the body of the request is not valid YAML: {error}") from None


def _from_protobuf(body: bytes) -> Any:
    try:
        return protobuf.decode(body)
    except protobuf.ProtobufError as error:
        raise errors.unsupported_media_type(f"{_PROTOBUF} ({error})") from None


def decode_object(body: bytes, content_type: str) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        ApiError: as `decode`, or the body is no object.
    """
    found = decode(body, content_type)
    if not isinstance(found, dict):
        raise errors.bad_request("the body of the request is not an object")
    if not isinstance(found.get("metadata", {}), dict):
        raise errors.bad_request("metadata is not an object")
    return found


def json_response(data: Any, *, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """A JSON response; every warning becomes a `Warning` header, which kubectl prints."""
    return encoded_response(orjson.dumps(data), status=status, warnings=warnings)


def encoded_response(body: bytes, *, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """A response from JSON that is already encoded."""
    response = Response(body, status_code=status, media_type="application/json")
    for warning in dict.fromkeys(warnings):
        text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.append("Warning", f'299 - "{text}"')
    return response


def success(details: dict[str, Any]) -> dict[str, Any]:
    """A `Status` that says a deletion succeeded."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def error_response(error: errors.ApiError) -> Response:
    """The response for a refusal."""
    return json_response(error.status(), status=error.code)
