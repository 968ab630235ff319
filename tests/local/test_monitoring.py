"""The Prometheus of a laptop: its configuration is one, and it hears of pods that come and go."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml
from tests.support.api import running_api
from tests.support.prometheus import promtool
from tests.support.waiting import until

from bailie.api.kinds import POD
from bailie.kube.client import Client
from bailie.local import monitoring
from bailie.local.state import StateDirectory


@pytest.fixture
def state(tmp_path):
    made = StateDirectory(tmp_path / "state")
    made.prepare()
    return made


def test_prometheus_takes_the_configuration(state):
    monitoring.write_configuration(state)
    monitoring.write_configuration(state)  # as at the next start
    promtool("check", "config", state.monitoring / "prometheus.yml")


def test_it_listens_at_its_pods_address_alone(state):
    argv = monitoring.program(state).argv
    assert "--web.listen-address=$(POD_IP):19090" in argv
    assert monitoring.workload().template["spec"]["containers"][0]["env"][0]["name"] == "POD_IP"


async def test_pods_that_come_and_go_are_targets(tmp_path, state):
    with running_api(tmp_path / "api") as api:
        api.namespace("a")
        monitoring.write_configuration(state)
        async with Client.from_kubeconfig(api.kubeconfig) as client, asyncio.TaskGroup() as group:
            following = group.create_task(monitoring.Targets(client, state).run())
            container = {"name": "agent", "image": "x", "ports": [{"name": "metrics", "containerPort": 9006}]}
            metadata = {
                "name": "s-0",
                "namespace": "a",
                "labels": {"app.kubernetes.io/name": "seldon-server"},
            }
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": {"containers": [container]},
            }
            await client.create(pod)
            await client.patch(POD, "s-0", "a", {"status": {"podIP": "127.1.2.3"}}, subresource="status")
            path = state.monitoring / "targets.json"

            def addresses():
                return [each["targets"] for each in json.loads(path.read_text())] if path.exists() else None

            await until(lambda: addresses() == [["127.1.2.3:9006"]])
            promtool("check", "config", state.monitoring / "prometheus.yml")
            await client.delete(POD, "s-0", "a")
            await until(lambda: addresses() == [])
            following.cancel()


def test_the_rules_are_those_of_the_charts_with_their_limits(state):
    monitoring.write_configuration(state)
    text = (state.monitoring / "rules.yml").read_text()
    assert "@" not in text
    assert yaml.safe_load(text)["groups"]
