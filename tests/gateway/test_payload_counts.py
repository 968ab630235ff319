"""Events of payload logs by outcome, from Envoy's counters."""

import pytest

from bailie.gateway.payload_counts import PayloadCounts
from bailie.gateway.request_exposition import ShownRequests, exposition


def counted(counters, **options):
    counts = PayloadCounts(**options)
    for name, number in counters.items():
        assert counts.takes(name)
        counts.add(name, (number,))
    return dict(counts.of_models())


def test_refusals_are_what_is_left_of_the_failures():
    name = "cluster.payload/fraud_v2.upstream_"
    counters = {"rq_2xx": 7, "rq_timeout": 2, "rq_pending_overflow": 3, "rq_5xx": 9, "rq_4xx": 1}
    told = {"taken": 7, "sink slow": 3, "timeout": 2, "refused": 5}
    assert counted({name + key: number for key, number in counters.items()}) == {"fraud.v2": told}
    assert counted({name + "cx_none_healthy": 4, name + "rq_5xx": 4}) == {"fraud.v2": {"no such sink": 4}}


@pytest.mark.parametrize(
    "name",
    [
        "cluster.grpc/iris.upstream_rq_2xx",
        "cluster.payload/iris.upstream_rq_total",
        "seldon.payload/iris.x",
        "",
    ],
)
def test_other_counters_are_not_taken(name):
    assert not PayloadCounts().takes(name)


def test_without_growth_there_is_no_model():
    assert counted({"cluster.payload/iris.upstream_rq_2xx": 0}) == {}
    counts = PayloadCounts()
    counts.add("cluster.payload/iris.upstream_rq_2xx", ())
    counts.add("something else", (1,))
    assert list(counts.of_models()) == []


def test_names_without_end_begin_anew():
    names = (f"cluster.payload/model-{number}.upstream_rq_2xx" for number in range(10))
    assert len(counted(dict.fromkeys(names, 1), most=24)) < 4


def test_the_series():
    shown = ShownRequests("team-a", [], {}, {"iris": {"taken": 3, "timeout": 1}, "rose": {"refused": 2}})
    lines = [line for line in "".join(exposition([shown])).splitlines() if not line.startswith("#")]
    assert lines == [
        'bailie_payload_log_events_total{namespace="team-a",model="iris"} 3',
        'bailie_payload_log_dropped_total{namespace="team-a",model="iris",reason="timeout"} 1',
        'bailie_payload_log_dropped_total{namespace="team-a",model="rose",reason="refused"} 2',
    ]
