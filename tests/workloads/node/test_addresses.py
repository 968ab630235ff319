"""Loopback addresses: one network per state directory, one address per pod, both sticky."""

from __future__ import annotations

import ipaddress
import json
from contextlib import closing

import pytest

from bailie.workloads.node.addresses import Addresses, NoNetworkLeft

NETWORKS = range(240, 251)


def test_addresses_are_distinct_and_of_one_network(tmp_path):
    with closing(Addresses(tmp_path / "a.json", networks=NETWORKS)) as addresses:
        given = {addresses.address("a", f"pod-{number}") for number in range(300)}
        assert len(given) == 300
        network = ipaddress.ip_network(f"127.{addresses.network}.0.0/16")
        assert all(ipaddress.ip_address(each) in network for each in given)
        assert not [each for each in given if each.rpartition(".")[2] in {"0", "255"}]


def test_a_pod_keeps_its_address_across_restarts(tmp_path):
    path = tmp_path / "node" / "a.json"
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        first = [addresses.address("a", "x"), addresses.address("b", "x")]
        assert addresses.address("a", "x") == first[0]
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        assert [addresses.address("a", "x"), addresses.address("b", "x")] == first


def test_two_state_directories_never_share_a_network(tmp_path):
    with (
        closing(Addresses(tmp_path / "a.json", networks=NETWORKS)) as one,
        closing(Addresses(tmp_path / "b.json", networks=NETWORKS)) as two,
    ):
        assert one.network != two.network
        with pytest.raises(NoNetworkLeft):
            Addresses(tmp_path / "c.json", networks=[one.network, two.network])


def test_a_network_that_somebody_took_meanwhile_is_given_up(tmp_path):
    path = tmp_path / "a.json"
    with closing(Addresses(path, networks=NETWORKS)) as before:
        before.address("a", "x")
    with (
        closing(Addresses(tmp_path / "other.json", networks=[before.network])),
        closing(Addresses(path, networks=NETWORKS)) as after,
    ):
        assert after.network != before.network
        assert after.address("a", "x").startswith(f"127.{after.network}.")


def test_a_broken_file_is_begun_anew(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        assert addresses.address("a", "x")


def test_pods_that_are_gone_give_their_addresses_back(tmp_path):
    """Pods come and go, one after the other: what is kept does not grow."""
    path = tmp_path / "a.json"
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        stays = addresses.address("a", "stays")
        for number in range(500):
            pod = ("b", f"pod-{number}")
            assert addresses.address(*pod) != stays
            addresses.give_back(*pod)
        assert json.loads(path.read_text())["pods"] == {"a/stays": stays}


def test_a_pod_that_is_made_anew_gets_its_address_again(tmp_path):
    with closing(Addresses(tmp_path / "a.json", networks=NETWORKS)) as addresses:
        first = addresses.address("a", "x")
        addresses.give_back("a", "x")
        addresses.address("a", "y")
        assert addresses.address("a", "x") == first


def test_pods_that_went_while_no_node_ran_give_theirs_back(tmp_path):
    path = tmp_path / "a.json"
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        given = {name: addresses.address("a", name) for name in ("x", "y", "z")}
    with closing(Addresses(path, networks=NETWORKS)) as addresses:
        addresses.keep({("a", "x"), ("b", "y")})
        assert json.loads(path.read_text())["pods"] == {"a/x": given["x"]}
        assert addresses.address("a", "x") == given["x"]
