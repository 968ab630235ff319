"""The address that an agent may give for its server: that of its pod, from which the agent calls.

Called by `service` for each hello. Pure. A caller at a loopback address is a process of this machine (a
laptop's pods have addresses of their own but call from 127.0.0.1) or a sidecar of a service mesh, which has
judged the caller already; the address that such a caller gives is taken if a pod can have it.
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
        return _plain(rest.rpartition(":")[0].strip("[]"))
    except ValueError:
        return None


def address_problem(claimed: str, peer: str, own: str) -> str | None:
    """Returns why an agent that calls from `peer` cannot have its server at `claimed`; None if it can.

    `own`: the scheduler's address. Where that is a loopback address, so are the addresses of the pods.
    """
    caller, address = address_of(peer), _plain(claimed)
    if caller is None:
        return f"the agent calls from {peer!r}, which is no IP address"
    if not caller.is_loopback:
        if address == caller:
            return None
        return (
            f"the endpoint's address is {claimed}, but the agent calls from {caller}: "
            "an agent speaks for its own pod only, and nothing may translate addresses between the two"
        )
    if address.is_loopback and not _plain(own).is_loopback:
        return f"the endpoint's address is {claimed}, which is another machine for each who uses it"
    if address.is_multicast or address.is_link_local or address.is_unspecified:
        return f"the endpoint's address is {claimed}, which no pod can have"
    return None


def is_loopback(address: str) -> bool:
    """Says whether the address is a loopback address."""
    return _plain(address).is_loopback


def _plain(text: str) -> Address:
    """Returns the address, IPv4 mapped into IPv6 as plain IPv4. Raises ValueError for other text."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
