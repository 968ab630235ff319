"""Addresses of Services. Nothing listens at them: they stand for "has one", as clients ask of a Service.

Called by `strategies`. They are taken from the networks of documentation (RFC 5737), in which no
machine is, so that nobody is reached by mistake. Two Services may have the same one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeapi.storage.store import Obj

_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_OUTSIDE = frozenset({"NodePort", "LoadBalancer"})
"""Types that cannot go without an address."""


def cluster_address(service: Obj, old: Obj | None) -> str:
    """Returns the `clusterIP` of a Service that states none: its present one, else one made from its uid."""
    before = str(((old or {}).get("spec") or {}).get("clusterIP") or "")
    if before and not (before == "None" and service["spec"]["type"] in _OUTSIDE):
        return before
    digest = hashlib.sha256(str(service["metadata"].get("uid", "")).encode()).digest()
    return f"{_NETWORKS[digest[0] % len(_NETWORKS)]}.{digest[1] % 254 + 1}"
