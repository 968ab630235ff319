"""The address that an agent may give for its server: that of its pod, from which the agent calls.

Called by `service` for each hello. Pure. A caller at a loopback address is a process of this machine (a
laptop's pods have addresses of their own but call from 127.0.0.1) or a sidecar of a service mesh, which has
judged the caller already; the address that such a caller gives is taken if a pod can have it.
"""

from __future__ import annotations

from bailie.kube.peers import address_of, plain_address


def address_problem(claimed: str, peer: str, own: str) -> str | None:
    """Returns why an agent that calls from `peer` cannot have its server at `claimed`; None if it can.

    `own`: the scheduler's address. Where that is a loopback address, so are the addresses of the pods.
    """
    caller, address = address_of(peer), plain_address(claimed)
    if caller is None:
        return f"the agent calls from {peer!r}, which is no IP address"
    if not caller.is_loopback:
        if address == caller:
            return None
        return (
            f"the endpoint's address is {claimed}, but the agent calls from {caller}: "
            "an agent speaks for its own pod only, and nothing may translate addresses between the two"
        )
    if address.is_loopback and not plain_address(own).is_loopback:
        return f"the endpoint's address is {claimed}, which is another machine for each who uses it"
    if address.is_multicast or address.is_link_local or address.is_unspecified:
        return f"the endpoint's address is {claimed}, which no pod can have"
    return None


def is_loopback(address: str) -> bool:
    """Says whether the address is a loopback address."""
    return plain_address(address).is_loopback
