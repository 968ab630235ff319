"""Where a model calls other models: the namespace's data plane, by an address that its server can reach.

`loading` calls `addressed` before it prepares a folder. On a cluster that is the Service's name and port; on
a laptop, where no DNS knows the name, it is the address in the node's file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bailie._gen import agent_pb2
from bailie.agent.errors import LoadFailed
from bailie.api.names import is_address
from bailie.kube.discovery import EnvoyPlace, Unresolved
from bailie.wellknown import ports

if TYPE_CHECKING:
    from bailie.agent.settings import Settings


def addressed(source: agent_pb2.ModelSource, settings: Settings) -> agent_pb2.ModelSource:
    """Returns the source with the data plane's URL where the model calls others. Raises LoadFailed."""
    calls = source.HasField("explainer") or source.HasField("llm")
    if not calls or source.inference_url:
        return source
    found = agent_pb2.ModelSource()
    found.CopyFrom(source)
    found.inference_url = _url(settings)
    return found


def _url(settings: Settings) -> str:
    given = urlsplit(settings.inference_url)
    host = given.hostname or ""
    if settings.endpoints_dir is None or is_address(host):
        return settings.inference_url
    place = EnvoyPlace(settings.namespace, host, given.port or ports.MESH, settings.endpoints_dir)
    try:
        address, port = place.find()
    except Unresolved as error:
        raise LoadFailed("DataPlaneUnknown", f"the model calls others, and {error}") from error
    return f"http://{address}:{port}"
