"""The administrator's proxy: which hosts go by it."""

from __future__ import annotations

import pytest

from bailie.agent.outside_proxy import OutsideProxy
from bailie.settings.reader import read

GIVEN = {
    "https_proxy": "http://user:p%40ss@proxy:3128",
    "HTTPS_PROXY": "http://other:1",
    "NO_PROXY": "minio.store, .svc, 10.0.0.0/8,localhost",
}


@pytest.mark.parametrize(
    ("host", "is_direct"),
    [
        ("example.org", False),
        ("minio.store", True),
        ("a.minio.store", True),
        ("minio.store.svc", True),
        ("minio.store.example.org", False),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("localhost", True),
    ],
)
def test_who_is_reached_without(host: str, is_direct: bool):
    proxy = read(OutsideProxy, GIVEN)
    assert (proxy.way(host, tunnel=True) is None) == is_direct
    assert proxy.way(host, tunnel=False) is None


def test_everything_is_near():
    assert read(OutsideProxy, {**GIVEN, "NO_PROXY": "*"}).way("example.org", tunnel=True) is None


def test_place_and_login():
    hop = read(OutsideProxy, GIVEN).way("example.org", tunnel=True)
    assert hop is not None
    assert hop.place == ("proxy", 3128)
    assert hop.login == [("proxy-authorization", "Basic dXNlcjpwQHNz")]
    plain = read(OutsideProxy, {"HTTP_PROXY": "http://proxy"}).way("example.org", tunnel=False)
    assert plain is not None
    assert (plain.place, plain.login) == (("proxy", 80), [])
