"""Which addresses downloads may reach, in every way of writing them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.addresses import PRIVATE, Networks, parse_networks, plain

CLOSED = {
    "127.0.0.1": "a loopback address",
    "127.255.255.254": "a loopback address",
    "::1": "a loopback address",
    "::ffff:127.0.0.1": "a loopback address",
    "::127.0.0.1": "a loopback address",
    "64:ff9b::7f00:1": "a loopback address",
    "2002:7f00:1::": "a loopback address",
    "169.254.169.254": "a link-local address",
    "::ffff:169.254.169.254": "a link-local address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "0.0.0.0": "the unspecified address",
    "::": "the unspecified address",
    "224.0.0.1": "a multicast address",
    "ff02::1": "a multicast address",
    "100.100.100.200": "the address of a cloud's metadata service",
    "168.63.129.16": "the address of a cloud's metadata service",
    "fd00:ec2::254": "the address of a cloud's metadata service",
    "0.1.2.3": "a reserved address",
    "240.0.0.1": "a reserved address",
    "255.255.255.255": "a reserved address",
    "192.0.2.1": "a reserved address",
    "2001:db8::1": "a reserved address",
    "2001:0:53aa:64c::1": "a reserved address",
}
INSIDE = [
    "10.96.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
]
OPEN = ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize(("address", "kind"), CLOSED.items())
def test_closed_to_everybody(address: str, kind: str):
    assert Networks().refusal(address, named=False) == kind
    assert Networks().refusal(address, named=True) == kind


@pytest.mark.parametrize("address", INSIDE)
def test_private_addresses_are_open_where_a_remote_names_them(address: str):
    assert Networks().refusal(address, named=False) == PRIVATE
    assert Networks().refusal(address, named=True) is None


@pytest.mark.parametrize("address", OPEN)
def test_the_internet_is_open(address: str):
    assert Networks().refusal(address, named=False) is None


def test_the_administrator_opens_networks():
    networks = Networks(parse_networks(["127.0.0.1", "10.1.0.0/16"]))
    assert networks.refusal("::ffff:127.0.0.1", named=False) is None
    assert networks.refusal("127.0.0.2", named=False) == "a loopback address"
    assert networks.refusal("10.1.2.3", named=False) is None
    with pytest.raises(ValueError, match="host bits"):
        parse_networks(["10.1.2.3/16"])


@given(st.ip_addresses())
def test_every_address_is_judged_as_what_it_stands_for(address):
    judged = Networks().refusal(str(address), named=False)
    assert judged == Networks().refusal(str(plain(str(address))), named=False)
    if judged is None:
        found = plain(str(address))
        assert found.is_global
        assert not found.is_multicast
        assert ip_address(str(found)) == found
