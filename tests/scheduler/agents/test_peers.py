"""Where an agent may say that its server is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.scheduler.agents.peers import address_of, address_problem

LAPTOP, CLUSTER = "127.0.0.1", "10.0.0.9"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:4711", "10.0.0.7"),
        ("ipv6:%5B::1%5D:4711", "::1"),
        ("ipv6:[fd00::7]:4711", "fd00::7"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:4711", "10.0.0.7"),
        ("unix:/tmp/socket", "None"),
        ("ipv4:", "None"),
        ("", "None"),
    ],
)
def test_a_peer_has_an_address(peer, address):
    assert str(address_of(peer)) == address


@given(st.text(max_size=40))
def test_no_name_of_a_peer_raises(peer):
    address_of(peer)
    address_of(f"ipv6:{peer}")


@pytest.mark.parametrize(
    ("claimed", "peer", "own", "problem"),
    [
        ("10.0.0.7", "ipv4:10.0.0.7:1", CLUSTER, ""),
        ("10.0.0.8", "ipv4:10.0.0.7:1", CLUSTER, "speaks for its own pod only"),
        ("127.0.0.1", "ipv4:10.0.0.7:1", CLUSTER, "speaks for its own pod only"),
        ("169.254.169.254", "ipv4:10.0.0.7:1", CLUSTER, "speaks for its own pod only"),
        ("fd00::7", "ipv6:[fd00::7]:1", "fd00::9", ""),
        ("127.70.0.3", "ipv4:127.0.0.1:1", LAPTOP, ""),
        ("224.0.0.1", "ipv4:127.0.0.1:1", LAPTOP, "no pod can have"),
        ("0.0.0.0", "ipv4:127.0.0.1:1", LAPTOP, "no pod can have"),
        ("169.254.169.254", "ipv4:127.0.0.1:1", LAPTOP, "no pod can have"),
        # A sidecar of a mesh calls in place of the agent.
        ("10.0.0.7", "ipv4:127.0.0.6:1", CLUSTER, ""),
        ("127.0.0.1", "ipv4:127.0.0.6:1", CLUSTER, "another machine for each"),
        ("::ffff:127.0.0.1", "ipv4:127.0.0.6:1", CLUSTER, "another machine for each"),
        ("10.0.0.7", "unix:/x", CLUSTER, "no IP address"),
    ],
)
def test_an_endpoint_is_where_its_agent_calls_from(claimed, peer, own, problem):
    found = address_problem(claimed, peer, own)
    assert (problem in found) if problem else (found is None)
