"""Addresses of collectors, which are strangers' texts, and the part of the requests that is traced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.api.collector import Collector, endpoint_problem, ratio_problem, read_collector


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("collector:4317", Collector("collector", 4317)),
        ("seldon-collector.seldon-mesh:4317", Collector("seldon-collector.seldon-mesh", 4317)),
        ("Collector.Example.Org:1", Collector("Collector.Example.Org", 1)),
        ("127.0.0.1:65535", Collector("127.0.0.1", 65535)),
        ("[::1]:4317", Collector("::1", 4317)),
    ],
)
def test_an_address(endpoint, expected):
    assert endpoint_problem(endpoint) == ""
    assert read_collector(endpoint, None) == expected
    assert str(expected) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "collector",
        "collector:",
        ":4317",
        "collector:0",
        "collector:65536",
        "collector:99999999",
        "collector:\uff14\uff13\uff11\uff17",
        "http://collector:4317",
        "collector:4317/v1/traces",
        "a:b@collector:4317",
        "collector:4317\n",
        " collector:4317",
        "col lector:4317",
        "collector..example:4317",
        "-collector:4317",
        "col_lector:4317",
        "collector.:4317",
        f"{'x' * 64}:4317",
        f"{'x.' * 140}x:4317",
        "1.2.3:4317",
        "1.2.3.4.5:4317",
        "256.1.1.1:4317",
        "::1:4317",
        "[::1]",
        "[::g]:4317",
        "[fe80::1%eth0]:4317",
        "[1.2.3.4.5]:4317",
        "$(whoami):4317",
        "%REQ(x)%:4317",
    ],
)
def test_no_address(endpoint):
    assert read_collector(endpoint, None) is None
    told = endpoint_problem(endpoint)
    assert "is no host:port, such as collector.observability:4317" in told
    assert told.isprintable()


@pytest.mark.parametrize(
    ("ratio", "part"), [("0", 0), ("1", 1), ("0.25", 0.25), ("1e-3", 0.001), (None, 1), ("", 1)]
)
def test_a_part_of_the_requests(ratio, part):
    assert read_collector("c:1", ratio).ratio == part
    assert not ratio or ratio_problem(ratio) == ""


@pytest.mark.parametrize("ratio", ["-0.1", "1.1", "nan", "inf", "10%", "half", "0,5"])
def test_no_part_of_the_requests(ratio):
    assert read_collector("c:1", ratio) is None
    assert "is no number from 0 to 1" in ratio_problem(ratio)


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())), st.one_of(st.text(), st.floats()))
def test_any_value_is_read(endpoint, ratio):
    read_collector(endpoint, ratio)
