"""Monitors, rules and dashboards of the charts: made when asked for, and such as their readers take them."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from tests.support.charts import refusal, render
from tests.support.network import Pod, may_connect
from tests.support.prometheus import promtool

MONITORED = {"monitoring": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "45s"}}
SETUP, RUNTIME = render("setup", MONITORED), render("runtime", MONITORED)
DASHBOARDS = [
    each for each in SETUP.of("ConfigMap") if each["metadata"]["name"].startswith("bailie-dashboard-")
]
OF_PROMETHEUS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")


def boards():
    for config_map in DASHBOARDS:
        [(name, text)] = config_map["data"].items()
        yield name, json.loads(text)


@pytest.mark.parametrize("chart", ["setup", "runtime"])
def test_nothing_of_it_is_made_unless_asked_for(chart):
    plain = render(chart)
    assert plain.of(*OF_PROMETHEUS) == []
    assert "dashboard" not in plain.text


def test_every_component_has_a_monitor_with_the_given_labels_and_interval():
    found = SETUP.of("PodMonitor") + RUNTIME.of("PodMonitor")
    assert {each["metadata"]["name"] for each in found} == {
        *("seldon-v2-controller-manager", "seldon-scheduler", "seldon-envoy", "seldon-server")
    }
    for monitor in found:
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert {each["interval"] for each in monitor["spec"]["podMetricsEndpoints"]} == {"45s"}
    usual = render("runtime", {"monitoring": {"enabled": True}}).of("PodMonitor")
    assert not any("interval" in end for each in usual for end in each["spec"]["podMetricsEndpoints"])


@pytest.mark.parametrize("wanted", [True, False])
def test_the_times_of_models_can_be_left_out(wanted):
    values = {"monitoring": {"enabled": True, "modelTimes": wanted}}
    spec = render("runtime", values).one("PodMonitor", "seldon-envoy")["spec"]
    [endpoint] = spec["podMetricsEndpoints"]
    dropped = [each["regex"] for each in endpoint["metricRelabelings"] if each.get("action") == "drop"]
    name = "envoy_seldon_model_infer_api_microseconds_bucket"
    assert any(re.fullmatch(regex, name) for regex in dropped) is not wanted
    assert any(re.fullmatch(regex, "envoy_seldon_model_infer_total") for regex in dropped)
    assert not any(re.fullmatch(regex, "envoy_http_downstream_rq_xx") for regex in dropped)


@pytest.mark.parametrize("value", ["often", "30", "-1s", "0s"])
def test_an_interval_that_is_none_is_refused(value):
    said = refusal("runtime", {"monitoring": {"interval": value}})
    assert f'monitoring.interval is "{value}"; give a duration such as 30s' in said


def test_the_network_lets_the_scraper_in_and_to_these_ports_alone():
    ports = {
        (component, port["name"]): port["containerPort"]
        for component, spec in _pods()
        for container in spec["containers"]
        for port in container["ports"]
    }
    policies = [*SETUP.of("NetworkPolicy"), *RUNTIME.of("NetworkPolicy")]
    scraper = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})
    for monitor in SETUP.of("PodMonitor") + RUNTIME.of("PodMonitor"):
        [component] = monitor["spec"]["selector"]["matchLabels"].values()
        read = {ports[component, each["port"]] for each in monitor["spec"]["podMetricsEndpoints"]}
        open_to_it = {
            number
            for (owner, _), number in ports.items()
            if owner == component
            and may_connect(policies, scraper, Pod.of("seldon-system", component), number)
        }
        assert read == open_to_it - ({9000} if component == "seldon-envoy" else set())


def _pods():
    for manifest in SETUP.manifests:
        if manifest["kind"] == "Deployment":
            yield "seldon-v2-controller-manager", manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "SeldonConfig":
            yield from ((each["name"], each["podSpec"]) for each in manifest["spec"]["components"])
        elif manifest["kind"] == "ServerConfig":
            yield "seldon-server", manifest["spec"]["podSpec"]


def test_prometheus_takes_the_rules_with_the_limits_of_the_values(tmp_path):
    limits = {"monitoring": {"enabled": True, "errorPercent": 7, "slowSeconds": "30"}}
    spec = render("setup", limits).one("PrometheusRule", "bailie")["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    promtool("check", "rules", tmp_path / "rules.yml")
    rules = {each["alert"]: each for group in spec["groups"] for each in group["rules"] if "alert" in each}
    assert rules["BailieRequestsFail"]["expr"].endswith("> 7")
    assert rules["BailieRequestsSlow"]["expr"].endswith("> 30")
    assert "@" not in yaml.safe_dump(spec)
    assert "{{ $labels.namespace }}" in rules["BailieRequestsFail"]["annotations"]["summary"]


def test_there_is_a_dashboard_for_each_subject():
    expected = {"namespace", "model", "server", "experiment", "pipeline", "control-plane"}
    assert {each["metadata"]["name"].removeprefix("bailie-dashboard-") for each in DASHBOARDS} == expected
    assert len({board["uid"] for _, board in boards()}) == len(expected)
    for config_map in DASHBOARDS:
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    marks = {"labels": {"mine": "yes"}, "annotations": {"grafana_folder": "Models"}}
    config_map = render("setup", {"monitoring": {"enabled": True, "dashboards": marks}}).one(
        "ConfigMap", "bailie-dashboard-model"
    )
    assert config_map["metadata"]["labels"]["mine"] == "yes"
    assert config_map["metadata"]["annotations"] == {"grafana_folder": "Models"}


@pytest.mark.parametrize(
    ("name", "board"), list(boards()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_dashboard_is_whole(name, board):
    variables = {each["name"] for each in board["templating"]["list"]}
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for target in panel["targets"]:
            asked = set(re.findall(r"\$[{]?(\w+)", target["expr"])) - {"__rate_interval"}
            assert asked <= variables, (name, panel["title"])
    places = [(cell["x"], cell["y"], cell["x"] + cell["w"]) for cell in (each["gridPos"] for each in panels)]
    assert len(set(places)) == len(places)
    assert all(right <= 24 for _, _, right in places)
