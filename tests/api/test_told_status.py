"""Statuses that others have written: whoever reads one reads what can be read, and fails at nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from tests.operator.test_reporter import Api, Recorder
from tests.support.anyjson import ANYTHING, changed
from tests.support.manifests import manifest_of

from bailie.api.kinds import SERVER
from bailie.api.pipeline import PipelineStatus
from bailie.api.registry import parse
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.status import MOST_OF_OTHERS, Condition, told_condition, told_conditions, told_number
from bailie.cli.seldon import objects, views
from bailie.control.collectors import told_tracing
from bailie.control.placement_input import running_replicas, told_replicas
from bailie.control.scaling_rules import told_sleep
from bailie.delivery.record import recorded_state
from bailie.doctor import gather
from bailie.local import readiness, status
from bailie.migration.facts import condition_of, runtime_status
from bailie.operator import run
from bailie.operator.central_schedulers import _was_refused, has_own_scheduler
from bailie.operator.conditions import gateways_of
from bailie.operator.config_pins import _is_pending, config_status
from bailie.operator.reporter import Reporter
from bailie.scheduler import namespace
from bailie.scheduler.status.subjects import _says_ready

TIME = "2026-01-01T00:00:00Z"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Asleep",
    "message": "m",
    "lastTransitionTime": TIME,
    "observedGeneration": 1,
}
STATUS = {
    "observedGeneration": 1,
    "conditions": [READY, {**READY, "type": "Scheduled"}, {**READY, "type": "StatefulSetOrDeploymentReady"}],
    "annotations": {"bailie.io/delivery": "{}"},
    "replicas": 1,
    "selector": "server=mlserver",
    "desiredReplicas": 2,
    "loadedModels": 3,
    "remotesProblem": "none",
    "scaling": {"active": True, "reason": "r", "message": "m"},
    "replicaStates": [{"name": "mlserver-0", "connected": True}],
    "fallback": {"mesh": "m:80", "names": 1, "listed": ["iris"]},
    "tracing": {"collector": "c:4317", "ratio": "1"},
    "servedNamespaces": ["b"],
    "hasPipelines": True,
    "mismatches": [],
}
SPECS = {
    "Model": {"storageUri": "/m"},
    "Server": {"serverConfig": "mlserver"},
    "SeldonRuntime": {"seldonConfig": "default"},
    "Experiment": {"candidates": [{"name": "iris", "weight": 1}]},
    "Pipeline": {"steps": [{"name": "iris"}]},
}
READERS = {
    "conditions": told_conditions,
    "number": lambda each: told_number(each, "replicas") + 1,
    "sleep": told_sleep,
    "replicas": lambda each: (running_replicas(each), told_replicas(each)),
    "tracing": told_tracing,
    "delivery": lambda each: recorded_state(each.get("status")),
    "gateways": gateways_of,
    "own scheduler": has_own_scheduler,
    "refusal": lambda each: _was_refused(each, "b"),
    "pins": lambda each: (config_status(each, {"spec": {}}), _is_pending(each, {"spec": {}})),
    "remotes": run._remotes_problem,
    "wanted": run._wanted,
    "mark": namespace._mark,
    "says ready": _says_ready,
    "condition": lambda each: readiness.condition(each, "Ready")["status"],
    "current": readiness.is_current,
    "views of models": lambda each: (status._model(each), views.model_status(each)),
    "views of others": lambda each: (views.pipeline_status(each), views.experiment_status(each)),
    "views of servers": lambda each: (views.server_status(each), status._server(each, [])),
    "not run": objects.is_not_run,
    "doctor": gather._thing,
    "move": lambda each: (condition_of(each, "Ready"), runtime_status(each)),
    "picture": lambda each: PipelineStatus.told(each.get("status")),
}


def with_status(kind, found):
    return manifest_of(kind, "x", SPECS[kind], generation=1) | {"status": found}


@given(found=changed(STATUS) | ANYTHING, kind=st.sampled_from(sorted(SPECS)))
def test_whoever_reads_a_status_fails_at_none(found, kind):
    """To draw the statuses takes far longer than to read them: all readers get the same ones."""
    for name, read in READERS.items():
        note(f"the reader of {name}")
        read(with_status(kind, found))


@given(found=changed(STATUS) | ANYTHING, kind=st.sampled_from(sorted(SPECS)))
def test_no_status_makes_a_spec_invalid(found, kind):
    manifest = with_status(kind, found)
    parsed, problems = parse(manifest)
    assert (parsed is not None, problems) == (True, parse({**manifest, "status": {}})[1])


def test_a_part_that_cannot_be_read_leaves_the_others():
    found = {**STATUS, "fallback": {"names": "many"}, "conditions": [{"type": 1}, READY, "x", READY]}
    runtime, problems = SeldonRuntime.parse(with_status("SeldonRuntime", found))
    assert problems == []
    assert runtime.status.served_namespaces == ("b",)
    assert [each.type for each in runtime.status.conditions] == ["Ready"]


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00,5Z",
        "2026-13-01T00:00:00Z",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "x" * 10_000,
    ],
)
def test_a_time_that_is_none_is_left_out(time):
    found = told_condition({"status": {"conditions": [{**READY, "lastTransitionTime": time}]}}, "Ready")
    assert (found.status, found.last_transition_time) == ("True", None)


@pytest.mark.parametrize("time", [TIME, "2026-01-01T00:00:00.123456789Z", "2026-01-01T01:30:00+01:30"])
def test_a_time_that_the_api_takes_stays(time):
    found = told_condition({"status": {"conditions": [{**READY, "lastTransitionTime": time}]}}, "Ready")
    assert found.last_transition_time == time


@given(found=changed(STATUS) | ANYTHING)
def test_the_operator_writes_a_status_that_can_be_read_over_any(found):
    api = Api()
    api.server = {**api.server, "status": found} if isinstance(found, dict) else {**api.server}
    reporter = Reporter(api, Recorder(), SERVER)
    for _ in range(3):
        asyncio.run(reporter.report(api.server, [Condition(type="Ready", status="False", reason="Mine")]))
    ready = told_condition(api.server, "Ready")
    assert (ready.status, ready.reason) == ("False", "Mine")
    assert api.written == 1


def test_a_list_that_others_let_grow_is_short_again():
    others = [{"type": f"Other{number}", "status": "True"} for number in range(10_000)]
    api = Api()
    api.server = {**api.server, "status": {"conditions": [*others, READY]}}
    reporter = Reporter(api, Recorder(), SERVER)
    asyncio.run(reporter.report(api.server, [Condition(type="Ready", status="True", reason="Ready")]))
    written = api.server["status"]["conditions"]
    assert len(written) == MOST_OF_OTHERS + 1
    assert told_condition(api.server, "Ready").last_transition_time == TIME
    assert len(json.dumps(written)) < 10_000
    asyncio.run(reporter.report(api.server, [Condition(type="Ready", status="True", reason="Ready")]))
    assert api.written == 1
