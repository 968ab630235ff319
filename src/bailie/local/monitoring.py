"""A Prometheus beside `bailie up`: its configuration as files of the state directory, and its pod.

Called by the supervisor. The node runs the pod as it runs every other: logs, restarts and the end with
`bailie down` are the same. Debian's Prometheus cannot ask Kubernetes which pods there are, so `Targets`
writes them into a file that Prometheus follows; namespaces and servers that come later are read, too.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

import yaml

from bailie.api.kinds import POD
from bailie.kube.informer import Informer
from bailie.local.settings import OPERATOR_NAMESPACE, PROMETHEUS
from bailie.manifests.workload import Workload
from bailie.monitoring import rules, scrapes
from bailie.wellknown import labels, ports, variables
from bailie.workloads.node.files import write_when_changed
from bailie.workloads.node.settings import Program

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.local.state import StateDirectory

SCRAPE_SECONDS = 5
KEPT_DAYS, KEPT_BYTES = 7, "1GB"


def write_configuration(state: StateDirectory) -> None:
    """Writes the files that Prometheus reads when it starts."""
    state.monitoring.mkdir(exist_ok=True, mode=0o700)
    content = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(_rules(state))],
        "scrape_configs": scrapes.jobs((*scrapes.SETUP, *scrapes.RUNTIME), str(_targets(state))),
    }
    _rules(state).write_text(yaml.safe_dump(rules.rule_file(), sort_keys=False))
    _configuration(state).write_text(yaml.safe_dump(content, sort_keys=False))


def program(state: StateDirectory) -> Program:
    """Returns the program that the pod's image stands for."""
    argv = (
        shutil.which(PROMETHEUS) or PROMETHEUS,
        f"--config.file={_configuration(state)}",
        f"--storage.tsdb.path={state.monitoring / 'data'}",
        f"--storage.tsdb.retention.time={KEPT_DAYS}d",
        f"--storage.tsdb.retention.size={KEPT_BYTES}",
        f"--web.listen-address=$({variables.POD_IP}):{ports.PROMETHEUS}",
    )
    return Program(title="Prometheus", argv=argv, needs=(variables.POD_IP,))


def workload() -> Workload:
    """Returns Prometheus as a workload beside the operator."""
    selector = {labels.NAME: PROMETHEUS}
    container = {
        "name": PROMETHEUS,
        "image": PROMETHEUS,
        "env": [{"name": variables.POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "ports": [{"name": "web", "containerPort": ports.PROMETHEUS}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "web"}, "periodSeconds": 1},
    }
    pod = {"automountServiceAccountToken": False, "containers": [container]}
    return Workload(
        namespace=OPERATOR_NAMESPACE,
        name=PROMETHEUS,
        replicas=1,
        selector=selector,
        template={"metadata": {"labels": selector}, "spec": pod},
        owner={},
    )


class Targets:
    """The pods that Prometheus reads: the file of targets, kept as the API has the pods."""

    def __init__(self, client: Client, state: StateDirectory) -> None:
        self._informer = Informer(client, POD)
        self._path = _targets(state)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follows all pods until cancelled."""
        self._informer.subscribe(lambda _: self._changed.set())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informer.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                found = scrapes.targets(self._informer.store.values())
                write_when_changed(self._path, json.dumps(found, indent=1))


def _configuration(state: StateDirectory) -> Path:
    return state.monitoring / "prometheus.yml"


def _targets(state: StateDirectory) -> Path:
    return state.monitoring / "targets.json"


def _rules(state: StateDirectory) -> Path:
    return state.monitoring / "rules.yml"
