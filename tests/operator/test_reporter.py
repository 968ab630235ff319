"""What is written of an object's status, and when."""

from __future__ import annotations

import pytest

from bailie.api.kinds import SERVER
from bailie.api.problems import Problem
from bailie.api.status import Condition
from bailie.operator.reporter import Reporter

READY = Condition(type="Ready", status="True", reason="Ready", message="")
WAITING = Condition(type="Ready", status="False", reason="ReplicasNotReady", message="1 of 2")


class Api:
    """Takes a status as the API does, and shows it to whom it is asked for."""

    def __init__(self):
        self.server = {"kind": "Server", "metadata": {"name": "s", "namespace": "a", "uid": "u"}}
        self.written = 0

    async def patch(self, kind, name, namespace, body, *, subresource):
        self.written += 1
        self.server = {**self.server, "status": {**self.server.get("status", {}), **body["status"]}}

    @property
    def ready(self):
        return self.server["status"]["conditions"][0]["status"]


class Recorder:
    def __init__(self):
        self.messages = []

    def event(self, manifest, kind, reason, message):
        self.messages.append(message)


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def reporter(api, recorder):
    return Reporter(api, recorder, SERVER)


async def test_nothing_is_written_while_nothing_changes(api, reporter):
    for _ in range(3):
        await reporter.report(api.server, [READY])
    assert api.written == 1


async def test_a_change_back_is_written_though_the_first_one_has_not_been_seen_yet(api, reporter):
    await reporter.report(api.server, [READY])
    seen = api.server
    await reporter.report(seen, [WAITING])
    await reporter.report(seen, [READY])
    assert api.ready == "True"
    await reporter.report(api.server, [READY])
    assert api.written == 3


async def test_what_somebody_else_wrote_is_put_right(api, reporter):
    await reporter.report(api.server, [READY])
    await api.patch(SERVER, "s", "a", {"status": {"conditions": []}}, subresource="status")
    await reporter.report(api.server, [READY])
    assert api.ready == "True"


async def test_conditions_say_their_generation_and_one_that_is_not_looked_at_keeps_its_own(api, reporter):
    other = Condition(type="ConfigCurrent", status="True", reason="UpToDate")
    api.server["metadata"]["generation"] = 1
    await reporter.report(api.server, [other, READY])
    api.server["metadata"]["generation"] = 2
    await reporter.report(api.server, [WAITING])
    conditions = api.server["status"]["conditions"]
    assert {each["type"]: each["observedGeneration"] for each in conditions} == {
        "ConfigCurrent": 1,
        "Ready": 2,
    }


def test_each_field_without_effect_is_told_once_per_generation(api, reporter, recorder):
    own, of_config = Problem("spec.x", "NoEffect", "own"), Problem("spec.y", "NoEffect", "configured")
    for problems in ([own, Problem("spec.z", "Invalid", "wrong")], [of_config], [own], [of_config]):
        reporter.warn(api.server, problems)
    assert recorder.messages == ["spec.x: own", "spec.y: configured"]
    api.server["metadata"]["generation"] = 2
    reporter.warn(api.server, [own])
    assert recorder.messages[2:] == ["spec.x: own"]
    reporter.forget("u")
    reporter.warn(api.server, [own])
    assert recorder.messages[3:] == ["spec.x: own"]


def test_warnings_of_annotations_that_change_again_and_again_come_to_an_end(api, recorder, reporter):
    for number in range(200):
        reporter.warn(api.server, [Problem(f"metadata.annotations[{number}]", "NoEffect", "is not read")])
    assert len(recorder.messages) == 100
    api.server["metadata"]["generation"] = 2
    reporter.warn(api.server, [Problem("spec.x", "NoEffect", "is not read")])
    assert len(recorder.messages) == 101
