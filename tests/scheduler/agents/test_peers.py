"""Where an agent may say that its server is."""

import pytest

from bailie.scheduler.agents.peers import address_problem

LAPTOP, CLUSTER = "127.0.0.1", "10.0.0.9"


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
