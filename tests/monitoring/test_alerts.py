"""Every alert fires on the series of its cause, and none fires on those of a healthy installation."""

from __future__ import annotations

import re

import pytest
from tests.support.documents import ROOT, anchors
from tests.support.prometheus import rules_tried

from bailie.monitoring.alerts import ALERTS, CRITICAL, WARNING
from bailie.monitoring.rules import Thresholds, rule_file

MINUTES = 80
GROWS, STEADY = f"0+60x{MINUTES}", f"600+0x{MINUTES}"
"""One more each second; and none."""
INFERENCE = 'envoy_http_conn_manager_prefix="inference"'
OK = f'envoy_http_downstream_rq_xx{{namespace="a",pod="e-0",{INFERENCE},envoy_response_code_class="2"}}'
FAULTS = OK.replace('class="2"', 'class="5"')
MODEL = 'seldon_model_infer_total{namespace="a",server="s",server_replica="0",model="m",code="%s"}'
TIMES = 'seldon_model_infer_api_seconds_bucket{namespace="a",server="s",server_replica="0",le="%s"}'
HELD = 'bailie_agent_held_seconds_bucket{namespace="a",pod="s-0",le="%s"}'
LEADS = 'bailie_leader{namespace="%s",pod="x-0",lease="%s"}'
DELIVERY = 'bailie_delivery{namespace="a",pod="x-0",route="ab.experiment",model="m",phase="%s"}'
LIVE = 'envoy_server_live{namespace="a",pod="e-0"}'


def const(value):
    return f"{value}+0x{MINUTES}"


HEALTHY = {
    OK: GROWS,
    FAULTS: STEADY,
    MODEL % "200": GROWS,
    MODEL % "OK": GROWS,
    MODEL % "500": STEADY,
    MODEL % "404": GROWS,
    TIMES % "0.1": GROWS,
    TIMES % "10": GROWS,
    TIMES % "+Inf": GROWS,
    HELD % "5": GROWS,
    HELD % "30": GROWS,
    HELD % "+Inf": GROWS,
    'envoy_cluster_upstream_rq_pending_overflow{namespace="a",envoy_cluster_name="c"}': STEADY,
    'envoy_http_adaptive_concurrency_gradient_controller_rq_blocked{namespace="a"}': STEADY,
    'envoy_overload_envoy_resource_monitors_fixed_heap_pressure{namespace="a",pod="e-0"}': const(20),
    'envoy_control_plane_connected_state{namespace="a",pod="e-0"}': const(1),
    LIVE: const(1),
    'bailie_models{namespace="a",state="ModelAvailable"}': const(3),
    'bailie_models{namespace="a",state="ModelFailed"}': const(0),
    'bailie_models{namespace="a",state="ModelScaledDown"}': const(1),
    'bailie_agent_loads_total{namespace="a",pod="s-0",reason=""}': GROWS,
    'bailie_agent_loads_total{namespace="a",pod="s-0",reason="ServerLoadError"}': const(1),
    'bailie_agent_returns_total{namespace="a",pod="s-0"}': f"0+1x{MINUTES}",
    'bailie_pipeline_refused_total{namespace="a",pod="p-0"}': STEADY,
    DELIVERY % "Pausing": const(1),
    DELIVERY % "Promoted": const(1),
    DELIVERY % "BackByHand": const(1),
    DELIVERY % "HeldBySpec": const(1),
    'bailie_agent_server_ready{namespace="a",pod="s-0"}': const(1),
    'bailie_agent_session_open{namespace="a",pod="s-0"}': const(1),
    'bailie_server_replicas{namespace="a",server="s",state="Ready"}': const(2),
    'bailie_server_replicas{namespace="a",server="s",state="NotConnected"}': const(0),
    'bailie_server_replicas{namespace="a",server="s",state="Draining"}': const(1),
    'up{namespace="a",pod="s-0",job="seldon-server"}': const(1),
    'up{namespace="other",pod="x-0",job="database"}': const(0),
    LEADS % ("a", "seldon-scheduler"): const(1),
    LEADS % ("ops", "bailie-operator"): const(1),
    'bailie_leader{namespace="a",pod="x-1",lease="seldon-scheduler"}': const(0),
    'bailie_operator_namespaces{namespace="ops",state="served"}': const(2),
    'bailie_operator_namespaces{namespace="ops",state="foreign"}': const(0),
    'bailie_operator_list_problems{namespace="ops",pod="o-0"}': const(0),
    'bailie_reconciles_total{namespace="ops",pod="o-0",controller="c",result="success"}': GROWS,
    'bailie_reconciles_total{namespace="ops",pod="o-0",controller="c",result="error"}': STEADY,
    'bailie_informer_failures_total{namespace="a",pod="x-0",resource="r",error="e"}': STEADY,
}
"""The series of an installation in which nothing is wrong: values of each minute."""

CAUSES = {
    "BailieRequestsFail": {FAULTS: f"0+3x{MINUTES}"},
    "BailieModelFails": {MODEL % "Internal": f"0+5x{MINUTES}"},
    "BailieRequestsSlow": {TIMES % "0.1": f"0+50x{MINUTES}"},
    "BailieRequestsRefused": {
        'envoy_http_adaptive_concurrency_gradient_controller_rq_blocked{namespace="a"}': GROWS
    },
    "BailieEnvoyMemoryShort": {
        'envoy_overload_envoy_resource_monitors_fixed_heap_pressure{namespace="a",pod="e-0"}': const(65)
    },
    "BailieModelsNotReady": {'bailie_models{namespace="a",state="ModelFailed"}': const(1)},
    "BailieLoadsFail": {
        'bailie_agent_loads_total{namespace="a",pod="s-0",reason="ArtifactNotFound"}': f"0+1x{MINUTES}"
    },
    "BailieModelsThrash": {'bailie_agent_returns_total{namespace="a",pod="s-0"}': f"0+8x{MINUTES}"},
    "BailieModelsReturnSlowly": {HELD % "5": f"0+30x{MINUTES}"},
    "BailiePipelinesRefused": {'bailie_pipeline_refused_total{namespace="a",pod="p-0"}': GROWS},
    "BailieJournalIncomplete": {'bailie_journal_dropped_total{namespace="a",pod="p-0"}': GROWS},
    "BailieDeliveryTakenBack": {DELIVERY % "MoreCancelled": const(1)},
    "BailieDeliveryWaits": {DELIVERY % "Waiting": const(1)},
    "BailieServerNotReady": {'bailie_agent_server_ready{namespace="a",pod="s-0"}': const(0)},
    "BailieServerReplicasLost": {
        'bailie_server_replicas{namespace="a",server="s",state="NotConnected"}': const(1)
    },
    "BailieAgentAlone": {'bailie_agent_session_open{namespace="a",pod="s-0"}': const(0)},
    "BailieEnvoyAlone": {'envoy_control_plane_connected_state{namespace="a",pod="e-0"}': const(0)},
    "BailieTargetSilent": {'up{namespace="a",pod="s-0",job="seldon-server"}': const(0)},
    "BailieNoSchedulerLeads": {LEADS % ("a", "seldon-scheduler"): f"1+0x4 stale _x{MINUTES}"},
    "BailieNoOperatorLeads": {LEADS % ("ops", "bailie-operator"): const(0)},
    "BailieNamespaceNotServed": {'bailie_operator_namespaces{namespace="ops",state="foreign"}': const(1)},
    "BailieRightMissing": {
        'bailie_operator_missing_right{namespace="a",group="",resource="pods",verb="get"}': const(1)
    },
    "BailieListHasMistakes": {'bailie_operator_list_problems{namespace="ops",pod="o-0"}': const(1)},
    "BailieReconciliationsFail": {
        'bailie_reconciles_total{namespace="ops",pod="o-0",controller="c",result="error"}': f"0+2x{MINUTES}"
    },
    "BailieApiUnreachable": {
        'bailie_informer_failures_total{namespace="a",pod="x-0",resource="r",error="e"}': f"0+5x{MINUTES}"
    },
}
"""What differs from a healthy installation where an alert has to fire."""


def series(changed):
    return [{"series": name, "values": values} for name, values in {**HEALTHY, **changed}.items()]


def one(name, changed, fires):
    """One of promtool's tests: the alerts `fires`, and no others, fire after an hour and a quarter."""
    expected = [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in fires]
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": name,
        "interval": "1m",
        "input_series": series(changed),
        "promql_expr_test": [{"expr": expr, "eval_time": "75m", "exp_samples": expected}],
    }


def test_each_alert_has_a_cause():
    assert list(CAUSES) == [each.name for each in ALERTS]


@pytest.mark.slow
def test_each_alert_fires_on_its_cause_and_no_other_does(tmp_path):
    tests = [one("healthy", {}, [])]
    tests += [one(name, changed, [name]) for name, changed in CAUSES.items()]
    assert "SUCCESS" in rules_tried(tmp_path, rule_file(), tests)


def test_a_limit_is_taken_from_the_thresholds(tmp_path):
    rules = rule_file(Thresholds(error_percent="10", slow_seconds="20"))
    calm = [one(name, CAUSES[name], []) for name in ("BailieRequestsFail", "BailieRequestsSlow")]
    assert "SUCCESS" in rules_tried(tmp_path, rules, calm)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_tells_a_person_enough(alert):
    assert alert.severity in {CRITICAL, WARNING}
    assert re.fullmatch(r"Bailie[A-Z]\w+", alert.name)
    assert alert.summary
    assert alert.description.endswith((".", "`"))
    assert alert.remedy.endswith(".")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_remedy_begins_with_the_place_of_the_alert(alert):
    """A person at night copies the commands: they have the labels in them, and nobody's namespace."""
    labels = {name.upper() for name in re.findall(r"labels\.(\w+)", alert.summary + alert.description)}
    commands = re.findall(r"`((?:bailie|kubectl) [^`]*)`", alert.remedy)
    assert not re.findall(r"financial-staging|seldon-system", alert.remedy)
    for command in commands:
        assert set(re.findall(r"\b[A-Z]{3,}\b", command)) <= {*labels, "NAME", "POD"}, command
        if "NAMESPACE" in labels and " -A" not in command:
            assert "NAMESPACE" in command, command


def test_every_end_of_a_delivery_that_nobody_asked_for_is_told():
    limits = (ROOT / "src/bailie/delivery/limits.py").read_text()
    ends = {"NotProven", *re.findall(r'"([A-Z][a-z]+[A-Z]\w+)"', limits)}
    [alert] = [each for each in ALERTS if each.name == "BailieDeliveryTakenBack"]
    assert set(re.findall(r"\w+", alert.expr.partition('"')[2].partition('"')[0])) == ends
    assert len(ends) == 5


def test_no_two_alerts_have_one_name():
    names = [each.name for each in ALERTS]
    assert len(set(names)) == len(names)


def test_the_runbook_of_each_alert_is_there():
    headings = anchors("docs/reference/alerts.md")
    assert (ROOT / "docs" / "reference" / "alerts.md").exists()
    for group in rule_file()["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                path, _, anchor = rule["annotations"]["runbook"].partition("#")
                assert (path, anchor in headings) == ("docs/reference/alerts.md", True)
