"""The endpoints that Prometheus reads are ports of the pods; targets have the labels that jobs look at."""

from __future__ import annotations

import pytest
import yaml
from tests.support.charts import render
from tests.support.prometheus import promtool

from bailie.monitoring import scrapes

SCRAPES = (*scrapes.SETUP, *scrapes.RUNTIME)


def pod(
    name="s-0", component="seldon-server", ports=(("agent", "metrics", 9006),), ip="127.1.2.3", **metadata
):
    containers = [
        {"name": container, "ports": [{"containerPort": number, **({"name": port} if port else {})}]}
        for container, port, number in ports
    ]
    labels = {"app.kubernetes.io/name": component} if component else {}
    return {
        "metadata": {"name": name, "namespace": "a", "labels": labels, **metadata},
        "spec": {"containers": containers},
        "status": {"phase": "Running", "podIP": ip} if ip else {},
    }


NONE = {
    "without an address": pod(ip=""),
    "that is going away": pod(deletionTimestamp="2026-01-01T00:00:00Z"),
    "whose port has no name": pod(ports=(("agent", "", 9006),)),
    "without ports": pod(ports=()),
}


@pytest.mark.parametrize("given", NONE.values(), ids=NONE)
def test_a_pod_is_no_target(given):
    assert scrapes.targets([given]) == []


def test_each_named_port_is_a_target_with_the_labels_that_jobs_look_at():
    found = scrapes.targets([pod(ports=(("agent", "metrics", 9006), ("mlserver", "server-metrics", 8082)))])
    assert [each["targets"] for each in found] == [["127.1.2.3:9006"], ["127.1.2.3:8082"]]
    looked_at = {
        source
        for job in scrapes.jobs(SCRAPES, "targets.json")
        for rule in job["relabel_configs"]
        for source in rule.get("source_labels", ())
    }
    assert {label for each in found for label in each["labels"]} == looked_at


def test_a_pod_of_others_has_labels_too():
    [found] = scrapes.targets([pod(component="")])
    assert found["labels"]["__meta_kubernetes_pod_label_app_kubernetes_io_name"] == ""


def test_prometheus_takes_the_jobs(tmp_path):
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": scrapes.jobs(SCRAPES, "targets.json")}))
    promtool("check", "config", path)


def pod_templates():
    """Yields the component and the PodSpec of every pod that the charts describe."""
    for manifest in render("setup").manifests:
        if manifest["kind"] == "Deployment":
            yield "seldon-v2-controller-manager", manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "SeldonConfig":
            yield from ((each["name"], each["podSpec"]) for each in manifest["spec"]["components"])
        elif manifest["kind"] == "ServerConfig":
            yield "seldon-server", manifest["spec"]["podSpec"]


@pytest.mark.parametrize("scrape", SCRAPES, ids=lambda scrape: scrape.component)
def test_its_endpoints_are_ports_of_the_charts_pods(scrape):
    ports = {
        port["name"]
        for component, spec in pod_templates()
        if component == scrape.component
        for container in spec["containers"]
        for port in container["ports"]
    }
    assert {endpoint.port for endpoint in scrape.endpoints} <= ports


def test_only_the_control_plane_speaks_for_other_namespaces():
    """A model's code can write the metrics of its server, but not the namespace that they are about."""
    trusted = {each.component for each in SCRAPES for endpoint in each.endpoints if endpoint.names_namespace}
    assert trusted == {"seldon-v2-controller-manager", "seldon-scheduler"}
