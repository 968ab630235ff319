"""Bodies in and out: JSON and YAML to objects, objects and refusals to responses.

Called by `app.py` and the handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from kubeapi import errors, limits
from kubeapi.wire import protobuf

if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST_YAML = 512 * 1024
"""Bytes. Reading YAML takes a thousand times as long as JSON, and clients send it rarely."""
_MOST_WARNINGS, _LONGEST_WARNING = 20, 300
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_YAML = ("application/yaml", "application/apply-patch+yaml", "text/yaml")


def media_type(header: str) -> str:
    """Returns the media type of a Content-Type header without its parameters."""
    return header.partition(";")[0].strip().lower()


def decode(body: bytes, content_type: str) -> Any:
    """Returns the JSON data in a request's body.

    Raises:
        ApiError: the body is malformed, too large or in an unknown format.
    """
    if len(body) > limits.LARGEST:
        raise limits.too_large()
    kind = media_type(content_type)
    if kind == _PROTOBUF:
        found = _from_protobuf(body)
    elif kind and kind not in _YAML and not kind.endswith("json"):
        raise errors.unsupported_media_type(content_type)
    else:
        found = _from_json(body)
    limits.check(found)
    return found


def _from_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"the body of the request is not valid JSON: {error}") from None


def is_slow(body: bytes, content_type: str) -> bool:
    """Says whether a body is YAML that is no JSON; other requests would wait for it (`json_of_yaml`)."""
    return media_type(content_type) in _YAML and not body.lstrip().startswith(b"{")


def json_of_yaml(body: bytes) -> bytes:
    """Returns YAML as JSON, in which times stay texts and keys become texts, against YAML's own types.

    It may take a second, and may be called in a thread.

    Raises:
        ApiError: the body is no YAML, or too much of it.
    """
    if len(body) > _LARGEST_YAML:
        wrong = f"a body of more than {_LARGEST_YAML} bytes is not read as YAML, only as JSON"
        raise errors.ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {wrong}")
    import yaml  # noqa: PLC0415 - loaded only where somebody sends YAML

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say it
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }
        merged = 0

        def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
            if self.flow_level == limits.DEEPEST:  # each further word looks at all brackets that are open
                raise limits.too_deep()
            super().fetch_flow_collection_start(token)

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            self.merged += len(node.value)  # a merge key copies: in each level ten times, without this limit
            if self.merged > limits.LARGEST:
                raise limits.too_large()

    try:
        found = yaml.load(body, Loader)  # noqa: S506 - a SafeLoader with fewer types
        limits.check(found)  # before it is written out: an alias may stand for millions of values
        return orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS)
    except RecursionError:
        raise limits.too_deep() from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # TypeError: keys and values that JSON lacks
        raise errors.bad_request(f"the body of the request is not valid YAML: {error}") from None


def _from_protobuf(body: bytes) -> Any:
    try:
        return protobuf.decode(body)
    except protobuf.ProtobufError as error:
        raise errors.unsupported_media_type(f"{_PROTOBUF} ({error})") from None


def decode_object(body: bytes, content_type: str) -> dict[str, Any]:
    """Returns the object in a request's body.

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
    """Returns a JSON response; every warning becomes a `Warning` header, which kubectl prints."""
    return encoded_response(orjson.dumps(data), status=status, warnings=warnings)


def encoded_response(body: bytes, *, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """Returns a response from JSON that is already encoded."""
    response = Response(body, status_code=status, media_type="application/json")
    for warning in list(dict.fromkeys(warnings))[:_MOST_WARNINGS]:
        response.headers.append("Warning", f'299 - "{_quoted(warning)}"')
    return response


def _quoted(text: str) -> str:
    """Returns text for a header: as UTF-8, cut, and without control characters, which would end it."""
    printable = "".join(each if each.isprintable() else " " for each in text[:_LONGEST_WARNING])
    return printable.replace("\\", "\\\\").replace('"', '\\"').encode().decode("latin-1")


def success(details: dict[str, Any]) -> dict[str, Any]:
    """Returns a `Status` that says that a deletion succeeded."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def error_response(error: errors.ApiError) -> Response:
    """Returns the response for a refusal."""
    return json_response(error.status(), status=error.code)
