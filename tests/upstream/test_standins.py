"""The stand-ins' own decisions: names in requests, names of Services, objects that are put back."""

from __future__ import annotations

import struct

import pytest
from tests.support.upstream.network import Endpoints, answer
from tests.support.upstream.standins.proxy_agent import named
from tests.support.upstream.standins.upstream_operator import finalized, holds, restored


def request(path, *headers):
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *headers, "", "{}"]).encode()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v2/models/iris/infer", "/v2/models/iris_3/infer"),
        ("/v2/models/iris/versions/7/infer", "/v2/models/iris_3/infer"),
        ("/v2/models/iris", "/v2/models/iris_3"),
        ("/v2/health/ready", "/v2/health/ready"),
    ],
)
def test_a_request_goes_to_the_version_that_its_header_names(path, sent):
    header = "seldon-internal-model: iris_3"
    assert named(request(path, header)) == request(sent, header)
    assert named(request(path)) == request(path)


def query(name, kind=1):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


@pytest.mark.parametrize(
    ("name", "kind", "code", "addresses"),
    [
        ("mlserver-0", 1, 0, ["127.64.0.1", "127.64.0.2"]),
        ("mlserver-0.team.svc.cluster.local", 1, 0, ["127.64.0.1", "127.64.0.2"]),
        ("mlserver-0", 28, 0, []),
        ("mlserver-1", 1, 3, []),
        ("mlserver-0.other", 1, 3, []),
    ],
)
def test_names_of_services(tmp_path, name, kind, code, addresses):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "mlserver-0.hosts").write_text("127.64.0.1\n127.64.0.2\n")
    said = answer(query(name, kind), Endpoints(tmp_path, "team"))
    number, flags, _, count, _, _ = struct.unpack(">HHHHHH", said[:12])
    assert (number, flags & 15, count) == (7, code, len(addresses))
    records = said[len(query(name)) :]
    found = [".".join(map(str, records[at + 12 : at + 16])) for at in range(0, len(records), 16)]
    assert found == addresses


WANTED = {"metadata": {"name": "x", "finalizers": ["theirs"]}, "spec": {"a": [{"b": 1}]}}


def test_an_object_is_put_back_when_a_field_of_it_differs():
    assert restored(WANTED, None) == ("create", WANTED)
    assert restored(WANTED, {**WANTED, "status": {}}) is None
    assert restored(WANTED, {**WANTED, "spec": {"a": [{"b": 2}]}}) == ("patch", WANTED)
    assert not holds({"a": [1]}, {"a": [1, 2]})
    assert holds({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})


def test_a_finalizer_is_put_back_beside_others_and_not_on_what_goes():
    found = {"metadata": {"name": "x", "finalizers": ["ours"]}}
    assert finalized(WANTED, found)[1]["metadata"]["finalizers"] == ["ours", "theirs"]
    assert finalized(WANTED, WANTED) is None
    assert finalized(WANTED, None) is None
    assert finalized(WANTED, {"metadata": {**found["metadata"], "deletionTimestamp": "t"}}) is None
