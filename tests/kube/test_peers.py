"""The addresses in gRPC's names of peers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.kube.peers import address_of, own_address


@pytest.mark.parametrize(
    ("peer", "address", "own"),
    [
        ("ipv4:10.0.0.7:4711", "10.0.0.7", "10.0.0.7"),
        ("ipv4:127.0.0.6:4711", "127.0.0.6", ""),
        ("ipv6:%5B::1%5D:4711", "::1", ""),
        ("ipv6:[fd00::7]:4711", "fd00::7", "fd00::7"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:4711", "10.0.0.7", "10.0.0.7"),
        ("ipv6:%5B::ffff:127.0.0.1%5D:4711", "127.0.0.1", ""),
        ("unix:/tmp/socket", "None", ""),
        ("ipv4:", "None", ""),
        ("", "None", ""),
    ],
)
def test_a_peer_has_an_address_that_it_may_share(peer, address, own):
    assert (str(address_of(peer)), own_address(peer)) == (address, own)


@given(st.text(max_size=40))
def test_no_name_of_a_peer_raises(peer):
    own_address(peer)
    own_address(f"ipv6:{peer}")
