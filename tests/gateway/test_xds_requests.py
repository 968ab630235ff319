"""What an Envoy may ask for; everything else is refused in words, by a real server too."""

import asyncio
import contextlib
import math
import tracemalloc

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.dataplane import NO_LIMIT, TOKEN, control_plane, until
from tests.support.protocol import EXPORT, XDS, Wild
from tests.support.reports import exported, name_of

from bailie.gateway import descriptors, request_reports, xds_requests
from bailie.gateway.request_metrics import BUCKETS
from bailie.gateway.resources import CLUSTER_URL, ENDPOINTS_URL, SCOPE_URL
from bailie.kube.protobuf_fields import delimited
from bailie.routing.table import RoutingTable

METADATA = (("authorization", f"Bearer {TOKEN}"),)


def request(*listen, url=CLUSTER_URL, **fields):
    """A first request of an Envoy that listens there."""
    made = descriptors.message_class(xds_requests.REQUEST)(type_url=url, **fields)
    made.node.id = "seldon-envoy-0"
    entries = made.node.metadata.fields[xds_requests.LISTEN].list_value.values
    for address, port in listen or [("127.70.0.1", 9000)]:
        entry = entries.add().struct_value.fields
        entry["address"].string_value, entry["port"].number_value = address, port
    return made


def test_what_an_envoy_asks_for_is_no_problem():
    asked = request(("127.70.0.1", 9000), ("::1", 80), resource_names_subscribe=["*"])
    assert xds_requests.first_problem(asked) is None
    assert [(each.address, each.port) for each in xds_requests.addresses(asked.node)] == [
        ("127.70.0.1", 9000),
        ("::1", 80),
    ]


@pytest.mark.parametrize(
    "listen",
    [
        *[[("127.0.0.1", port)] for port in (math.nan, math.inf, -math.inf, -1, 0, 0.5, 65536, 1e18)],
        *[[(address, 9000)] for address in ("", "localhost", "fe80::1%lo", "1.2.3", "x" * 10_000)],
        [("127.0.0.1", 9000), ("127.0.0.1", -1)],
        [("127.0.0.1", port) for port in range(1, 100)],
    ],
    ids=str,
)
def test_where_nobody_can_listen_is_a_problem(listen):
    assert "must name addresses and ports" in xds_requests.first_problem(request(*listen))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "x" * 5_000}, "there are no resources of type"),
        ({"resource_names_subscribe": ["x" * 2_000]}, "at most 1024 characters"),
        ({"initial_resource_versions": {"x": "y" * 2_000}}, "at most 1024 characters"),
        ({"resource_names_subscribe": ["x"] * 200_001}, "more than 200000 resources are"),
    ],
    ids=["type", "name", "version", "number"],
)
def test_what_nobody_has_is_a_problem_of_few_words(fields, words):
    problem = xds_requests.first_problem(request(**fields))
    assert words in problem
    assert len(problem) < 1_200


@given(st.integers(0, 2**32))
def test_no_message_raises(seed):
    wild = Wild(seed)
    for data in wild.envoy():
        message, problem = xds_requests.read(data)
        assert (message is None) == bool(problem)
        if message is not None and xds_requests.first_problem(message) is None:
            assert xds_requests.addresses(message.node)
    with contextlib.suppress(request_reports.ImpossibleReport):
        assert reported(wild.export())[0] is not None


def reported(data):
    """The report in a request, and how many pauses its reading makes."""
    slices, pauses = request_reports.read(data, "seldon-envoy-0"), 0
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


MIB = 1 << 20


def test_the_fields_that_may_be_many_have_these_numbers():
    known = descriptors.message_class(xds_requests.REQUEST).DESCRIPTOR.fields_by_name
    assert {name: known[name].number for name in xds_requests.LISTS} == xds_requests.LISTS
    lists = {name for name, each in known.items() if each.is_repeated and not name.startswith("resource_loc")}
    assert lists == xds_requests.LISTS.keys()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1a\x00" * (MIB // 4) + b"\x1a\xff", "the number at byte 524289 has no end"),
        (b"\x42\x00" * (MIB // 4), "at most 262144 bytes, not 524288"),
        (b"\x0a\x80\x80\x80\x02" + b"\x52\x00" * 2 * MIB, "at most 262144 bytes, not 4194309"),
        (b"\x1a\xff" * MIB, "this is no envoy.service.discovery.v3.DeltaDiscoveryRequest: field 3 at byte"),
    ],
    ids=["names", "locators", "node", "cut"],
)
def test_a_long_request_is_counted_before_it_is_read(data, words):
    tracemalloc.start()
    try:
        found, problem = xds_requests.read(data)
        assert (found, words in problem) == (None, True)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_more_than_a_million_fields_are_refused():
    found, problem = xds_requests.read(b"\x1a\x00" * 1_000_001)
    assert (found, "more than 1000000 fields" in problem) == (None, True)


@pytest.mark.parametrize(
    ("models", "name"), [(40_000, "model-{}_1.rest"), (20_000, "{:0253}")], ids=["many", "long"]
)
def test_an_envoy_that_comes_back_with_all_that_it_has_is_read(models, name):
    versions = dict.fromkeys(map(name.format, range(models)), "0123456789abcdef")
    asked = request(initial_resource_versions=versions)
    data = asked.SerializeToString()
    assert 4 * xds_requests.SHORT < len(data) < xds_requests.LONGEST
    assert xds_requests.read(data) == (asked, None)


def test_a_part_of_a_report_with_the_longest_names_has_room_in_a_message():
    longest = name_of(
        "times", **dict.fromkeys(("model", "version", "server"), "x" * 253), flags="UF,URX,DC,LR"
    )
    counted = descriptors.message_class(request_reports.REQUEST)()
    metric = counted.resource_metrics.add().instrumentation_library_metrics.add().metrics.add(name=longest)
    point = metric.histogram.data_points.add(time_unix_nano=2**62, start_time_unix_nano=2**62, sum=1e300)
    point.count, point.bucket_counts[:] = 2**62, [2**62] * (len(BUCKETS) + 1)
    point.explicit_bounds[:] = BUCKETS
    assert request_reports.MOST_POINTS * counted.ByteSize() < xds_requests.LONGEST


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a\x80\x80\x80\x02" + b"\x12\x00" * 2 * MIB, "more than 1000 fields"),
        (b"\x0a\x84\x80\x20\x12\x80\x80\x20" + b"\x0a\x00" * 256 * 1024, "more than 1000 fields beside"),
        (
            b"\x0a\x8c\x80\x08\x12\x88\x80\x08\x12\x84\x80\x08" + b"\x3a\x00" * 65538,
            "a metric has 131076 bytes",
        ),
        (b"\xff" * 40, "this is no opentelemetry.proto.collector"),
        (b"\x0a\x02\x12", "this is no opentelemetry.proto.collector"),
        (
            delimited(1, 200_204) + delimited(2, 200_200) + b"\x12\x00" * 100_100,
            "more than 100000 fields",
        ),
        (b"", "no value in the report has a time"),
        (exported(at=0), "no value in the report has a time"),
    ],
    ids=["resources", "scopes", "points", "bytes", "cut", "metrics", "empty", "without a time"],
)
def test_a_report_is_read_metric_by_metric_and_no_further_than_one_may_be(data, words):
    with pytest.raises(request_reports.ImpossibleReport, match=words):
        reported(data)


def test_thousands_of_metrics_are_read_in_slices():
    counted = descriptors.message_class(request_reports.REQUEST)()
    metrics = counted.resource_metrics.add().instrumentation_library_metrics.add().metrics
    for number in range(2_000):
        point = metrics.add(name=name_of(model=f"m-{number}")).sum.data_points.add(time_unix_nano=9)
        point.as_int = number
    found, pauses = reported(counted.SerializeToString())
    assert pauses == 2_000 // 200
    assert found.values == {name_of(model=f"m-{number}"): number for number in range(2_000)}


async def ended(port, *messages):
    """How a stream ends on which these bytes are sent, and in which words."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=NO_LIMIT) as channel,
        asyncio.timeout(60),
    ):
        call = channel.stream_stream(XDS)(metadata=METADATA)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for message in messages:
                await call.write(message)
            while await call.read() is not grpc.aio.EOF:
                pass
        return await call.code(), await call.details()


GOOD = request().SerializeToString()
UNKNOWN = request(url="unknown").SerializeToString()
LONG = [
    request(
        url=url, resource_names_subscribe=[f"{number:01000}" for number in range(6_000)]
    ).SerializeToString()
    for url in (CLUSTER_URL, ENDPOINTS_URL, SCOPE_URL)
]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([b"\xff" * 40], "this is no envoy.service.discovery.v3.DeltaDiscoveryRequest"),
        ([GOOD, b"\xff" * 40], "this is no envoy.service.discovery.v3.DeltaDiscoveryRequest"),
        ([b""], "must name addresses and ports"),
        ([request(("127.0.0.1", math.nan)).SerializeToString()], "must name addresses and ports"),
        ([GOOD, UNKNOWN], "there are no resources of type 'unknown' here"),
        (LONG, "names and versions have more than 16777216 characters"),
    ],
    ids=["bytes", "later", "empty", "port", "type", "names"],
)
async def test_a_stream_is_refused_in_words_and_one_line_of_the_log(caplog, messages, words):
    async with control_plane() as (gateway, port):
        gateway.publish(RoutingTable("ns"))
        with capture_logs() as lines:
            for _ in range(3):
                code, told = await ended(port, *messages)
                assert (code, words in told) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert len([line for line in lines if line["event"] == "Envoy refused"]) == 1
        assert caplog.records == []
        assert gateway.streams == 0


async def test_a_stream_keeps_no_message():
    """It is there for weeks. These are long, and all that they say is one name."""
    data = [
        request(url=url, resource_names_subscribe=["x" * 1_000] * 8_000).SerializeToString()
        for url in (CLUSTER_URL, ENDPOINTS_URL)
    ]
    async with (
        control_plane() as (gateway, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        asyncio.timeout(60),
    ):
        gateway.publish(RoutingTable("ns"))
        call = channel.stream_stream(XDS)(metadata=METADATA)
        tracemalloc.start()
        try:
            for message in data:
                await call.write(message)
                await call.read()
            await until(lambda: tracemalloc.get_traced_memory()[0] < 4 * MIB, "messages are let go")
        finally:
            tracemalloc.stop()
        assert gateway.streams == 1


async def test_counts_that_cannot_be_are_refused_and_odd_ones_passed_over():
    counted = descriptors.message_class(request_reports.REQUEST)()
    metrics = counted.resource_metrics.add().instrumentation_library_metrics.add().metrics
    for model, fields in (
        ("a", {}),
        ("b", {"as_double": math.nan}),
        ("c", {"as_int": -1}),
        ("d", {"as_int": 2}),
    ):
        name = name_of(model=model)
        metrics.add(name=name).sum.data_points.add(time_unix_nano=9, start_time_unix_nano=9, **fields)
    metrics.add(name=name_of("times", model="e")).histogram.data_points.add(count=2, sum=math.nan)
    metrics.add(name="seldon.odd").sum.data_points.add(as_int=2)
    async with control_plane() as (gateway, port):
        heard = []
        gateway.on_used(heard.append)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            export = channel.unary_unary(EXPORT)
            await export(counted.SerializeToString(), metadata=METADATA)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await export(b"\xff" * 40, metadata=METADATA)
    assert heard == [frozenset("d")]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_are_begun_at_a_bounded_rate():
    async with control_plane() as (_, port), asyncio.timeout(60):
        told = ""
        while "streams a second" not in told:
            _, told = await ended(port, b"")
    assert told == "more than 20 streams a second are begun from there"
