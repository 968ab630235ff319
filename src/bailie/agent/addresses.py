"""Which network addresses a download may reach. Pure: names are resolved by `egress`, which asks here.

Any person who may create Models writes an artifact's address. The agent stands inside the cluster, and the
content that it fetches ends in files and messages that others read. So the public internet is open, and of
all other addresses only those that a person with more rights has named: private addresses as the endpoint of
a Secret's or a configured remote, everything else by the administrator's list of networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

_METADATA = frozenset(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Metadata services of clouds that are not link-local: Azure, Alibaba, Oracle, AWS and Google on IPv6."""
_PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""RFC 1918, the shared space of RFC 6598, and unique local addresses: pods, Services and companies."""
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that downloads may reach besides the public internet. `allowed` is the administrator's
    list."""

    allowed: tuple[Network, ...] = ()

    def refusal(self, text: str, *, named: bool) -> str | None:
        """Returns why an address is refused, as in `is a loopback address`; None for an open address.

        `named` says that a Secret or the configuration names the host.
        """
        address = plain(text)
        if any(address in network for network in self.allowed):
            return None
        kind = _kind(address)
        if kind is None or (named and kind == PRIVATE):
            return None
        return kind


PRIVATE = "a private address"


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Reads networks such as `10.1.0.0/16`, or single addresses. Raises ValueError with a sentence."""
    return tuple(ip_network(word) for word in words)


def plain(text: str) -> Address:
    """Returns the address; of an IPv6 address that stands for an IPv4 address, that one."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    is_embedded = address in _NAT64 or 1 < int(address) < 1 << 32
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_embedded else address


def _kind(address: Address) -> str | None:
    kinds = {
        "the address of a cloud's metadata service": address in _METADATA,
        "a loopback address": address.is_loopback,
        "a link-local address": address.is_link_local,
        "the unspecified address": address.is_unspecified,
        "a multicast address": address.is_multicast,
        PRIVATE: any(address in network for network in _PRIVATE),
        "a reserved address": not address.is_global,
    }
    return next((kind for kind, is_it in kinds.items() if is_it), None)
