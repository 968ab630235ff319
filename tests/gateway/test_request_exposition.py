"""Seldon Core's series in Prometheus' text form, read by Prometheus' own reader."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.reports import Envoy, name_of, take, times

from bailie.gateway.access_log import LEFT_OUT
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_exposition import ShownRequests, exposition


def samples(text):
    """The samples by name: a list of (labels, value)."""
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            found.setdefault(each.name, []).append((each.labels, each.value))
    return found


def shown(values, in_flight=None, namespace="ns"):
    counts = RequestCounts()
    take(counts, Envoy().report(values), 0.0)
    return ShownRequests(namespace, counts.series(), in_flight or {})


def text_of(*namespaces):
    return "".join(exposition(namespaces))


OF_IRIS = {
    "namespace": "ns",
    "pod": "mlserver-0",
    "server": "mlserver",
    "server_replica": "0",
    "model": "iris",
    "model_internal": "iris_1",
    "method_type": "rest",
    "code": "200",
}


def test_a_model_has_the_labels_of_seldon_core():
    text = text_of(shown({name_of(): 3, name_of("microseconds"): 1_500_000}, {"iris": 2}))
    found = samples(text)
    assert found["seldon_model_infer_total"] == [(OF_IRIS, 3)]
    assert found["seldon_model_infer_seconds_total"] == [(OF_IRIS, 1.5)]
    labels = {
        "namespace": "ns",
        "pod": "mlserver-0",
        "server": "mlserver",
        "server_replica": "0",
        "method_type": "rest",
    }
    assert found["seldon_model_aggregate_infer_total"] == [(labels, 3)]
    assert found["seldon_model_aggregate_infer_seconds_total"] == [(labels, 1.5)]
    assert found["seldon_model_infer_in_flight"] == [({"namespace": "ns", "model": "iris"}, 2)]


def test_a_candidate_is_one_series_whatever_name_leads_to_it():
    text = text_of(shown({name_of(): 3, name_of(model="ab.experiment"): 4}))
    assert samples(text)["seldon_model_infer_total"] == [(OF_IRIS, 7)]


def test_aggregates_add_models_codes_and_versions():
    values = {name_of(): 1, name_of(model="rose", version=":rose_2:"): 2, name_of(code="500"): 4}
    found = samples(text_of(shown(values)))
    assert [value for _, value in found["seldon_model_aggregate_infer_total"]] == [7]


def test_times_are_a_histogram_in_seconds_by_replica_method_and_code():
    values = {name_of("times"): times(0, 2, 900), name_of("times", model="rose"): times(13, 1, 20_000_000)}
    found = samples(text_of(shown(values)))
    buckets = {labels["le"]: value for labels, value in found["seldon_model_infer_api_seconds_bucket"]}
    assert buckets == {"0.001": 2, **dict.fromkeys(list(buckets)[1:-1], 2), "+Inf": 3}
    assert list(buckets)[-2:] == ["10", "+Inf"]
    labels = {
        "namespace": "ns",
        "pod": "mlserver-0",
        "server": "mlserver",
        "server_replica": "0",
        "method": "rest",
        "code": "200",
    }
    assert found["seldon_model_infer_api_seconds_count"] == [(labels, 3)]
    assert found["seldon_model_infer_api_seconds_sum"] == [(labels, pytest.approx(20.0009))]


def test_a_pipeline_has_series_of_its_own():
    version, server = ":flower.pipeline_1:", "seldon-pipelinegateway"
    found = samples(
        text_of(shown({name_of(model="flower.pipeline", version=version, server=server): 3, name_of(): 1}))
    )
    labels = {"namespace": "ns", "server": "pipeline-gateway", "pipeline": "flower"}
    assert found["seldon_pipeline_infer_total"] == [({**labels, "method_type": "rest", "code": "200"}, 3)]
    assert found["seldon_model_infer_total"] == [(OF_IRIS, 1)]


def test_namespaces_are_apart_and_nothing_is_nothing():
    found = samples(text_of(shown({name_of(): 1}), shown({name_of(): 2}, namespace="b")))
    by_namespace = {labels["namespace"]: value for labels, value in found["seldon_model_infer_total"]}
    assert by_namespace == {"ns": 1, "b": 2}
    assert text_of() == ""


def test_thousands_of_series_come_in_slices_between_which_others_run():
    numbers = range(1, 2001)
    values = {name_of(model=f"m-{each}", version=f":m-{each}_1:"): each for each in numbers}
    slices = list(exposition([shown(values)]))
    assert len(slices) >= 2 * len(values) / 256
    assert max(text.count("\n") for text in slices) <= 257
    found = samples("".join(slices))["seldon_model_infer_total"]
    assert {labels["model"]: value for labels, value in found} == {f"m-{each}": each for each in numbers}


def test_lines_that_access_logs_left_out_are_counted_over_the_envoys():
    counts, one, other = RequestCounts(), Envoy("one"), Envoy("other")
    for envoy, number in ((one, 7), (other, 5), (one, 9)):
        take(counts, envoy.report({LEFT_OUT: number}), 0.0)
    text = text_of(ShownRequests("ns", (), {}, lines_left_out=counts.lines_left_out))
    assert samples(text) == {"bailie_access_log_left_out_total": [({"namespace": "ns"}, 14)]}
    assert text_of(ShownRequests("ns", (), {})) == ""
