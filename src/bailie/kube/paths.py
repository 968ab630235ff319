"""URL paths of the Kubernetes API. Used by `client`, and where a path is asked for by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from bailie.api.kinds import Kind


def object_path(
    kind: Kind, namespace: str | None = None, name: str | None = None, sub: str | None = None
) -> str:
    """Returns the URL path of a collection, an object or a subresource. A name stays one segment of it."""
    parts = ["apis", kind.group, kind.version] if kind.group else ["api", kind.version]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(kind.plural)
    parts += [part for part in (name, sub) if part is not None]
    return "/" + "/".join(map(_segment, parts))


def _segment(name: str) -> str:
    """Returns a name for a path, quoted. A user may have written it: `x?watch=1` or `../y` must not become
    another request."""
    return name.replace(".", "%2E") if name in {".", ".."} else quote(name, safe=":")


def namespace_of_path(path: str) -> str | None:
    """Returns the namespace in a URL path, None outside of namespaces."""
    _, found, rest = path.partition("/namespaces/")
    return rest.partition("/")[0] if found and "/" in rest else None
