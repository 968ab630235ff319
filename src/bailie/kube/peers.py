"""The address of a gRPC caller, from gRPC's name of it. Pure.

Used by `greetings` for agents and by `envoy_calls` for Envoys.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(peer: str) -> Address | None:
    """Returns the address in gRPC's name of a peer, `ipv4:10.0.0.7:4711`; None for a peer without one."""
    scheme, _, rest = unquote(peer).partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return None
    try:
        return plain_address(rest.rpartition(":")[0].strip("[]"))
    except ValueError:
        return None


def own_address(peer: str) -> str:
    """Returns the address that a peer has for itself; empty for a loopback address, from which all
    processes of a laptop call, and the callers behind a sidecar of a service mesh."""
    address = address_of(peer)
    return "" if address is None or address.is_loopback else str(address)


def plain_address(text: str) -> Address:
    """Returns the address, IPv4 mapped into IPv6 as plain IPv4. Raises ValueError for other text."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
