"""Envoy's protobuf types, in a descriptor pool of their own.

All modules of this package make and read Envoy's messages by it. The pool is private because
other libraries (OpenTelemetry, googleapis) bring the same files in other versions to the default one. The
descriptor set is cut from xds-protos when the package is built (`tools/protos.py`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

if TYPE_CHECKING:
    from google.protobuf.message import Message

TYPE_PREFIX = "type.googleapis.com/"

CLUSTER = "envoy.config.cluster.v3.Cluster"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "envoy.config.listener.v3.Listener"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
SCOPE = "envoy.config.route.v3.ScopedRouteConfiguration"
TOKEN_BUCKET = "envoy.type.v3.TokenBucket"  # noqa: S105 - a bucket of tokens, not one of ours


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    data = files("bailie._gen").joinpath("envoy.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


@cache
def message_class(name: str) -> Any:
    """Returns the class of the message `name` (`envoy.config.cluster.v3.Cluster`).

    Typed as Any: the classes exist only at run time.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def type_url(name: str) -> str:
    """Returns the type URL of the message `name`."""
    return TYPE_PREFIX + name


def parse(data: dict[str, Any], name: str) -> Any:
    """Returns the message `name` from its JSON form; an unknown field raises `json_format.ParseError`."""
    return json_format.ParseDict(data, message_class(name)(), descriptor_pool=_pool())


def pack(message: Message) -> Any:
    """Returns `message` in a `google.protobuf.Any` of the private pool, encoded deterministically."""
    url = type_url(message.DESCRIPTOR.full_name)
    return message_class("google.protobuf.Any")(
        type_url=url, value=message.SerializeToString(deterministic=True)
    )


def to_dict(message: Message) -> dict[str, Any]:
    """Returns the JSON form of a message, the `Any`s in it opened; for tests, goldens and people."""
    data: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=_pool()
    )
    return data
