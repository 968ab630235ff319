"""Get and list: one object, or a collection with selectors and pages.

Called by `http.handlers` with an authorised request.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import orjson

from kubeapi import errors
from kubeapi.storage.database import decoded
from kubeapi.verbs import filters
from kubeapi.verbs.requests import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.store import Store


def collection(store: Store, resource: Resource, namespace: str | None, query: Mapping[str, str]) -> bytes:
    """Returns the encoded list that a request asks for.

    Objects go from the database into the answer without being decoded unless a selector has to look at them.
    """
    limit = whole(query, "limit") or 0
    matches = filters.selector_of(query, resource)
    after, revision = _position(query.get("continue")) or (None, store.revision)
    found: Iterator[bytes] = store.scan(resource.key, namespace, after=after)
    if matches is not None:
        accept = matches
        found = (data for data in found if accept(decoded(data)))
    items: list[bytes] = []
    meta: dict[str, object] = {"resourceVersion": str(revision)}
    for data in found:
        if limit and len(items) == limit:
            meta["continue"] = _token(items[-1], revision)
            rest = sum(1 for _ in found) + 1
            if matches is None:
                meta["remainingItemCount"] = rest
            break
        items.append(data)
    head = {"kind": f"{resource.kind.kind}List", "apiVersion": resource.kind.api_version, "metadata": meta}
    return orjson.dumps(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _token(last: bytes, revision: int) -> str:
    """Returns the continue token: where the next page begins, and the revision of the first page.

    A watch from that revision misses no change that came to an object after its own page was read.
    """
    meta = decoded(last)["metadata"]
    return base64.urlsafe_b64encode(
        orjson.dumps([meta.get("namespace", ""), meta["name"], revision])
    ).decode()


def _position(token: str | None) -> tuple[tuple[str, str], int] | None:
    if not token:
        return None
    try:
        namespace, name, revision = orjson.loads(base64.urlsafe_b64decode(token))
        return (str(namespace), str(name)), int(revision)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise errors.bad_request("continue key is not valid") from None
