import os
import subprocess
from types import SimpleNamespace

import pytest

from bailie.api.kinds import POD, SELDON_RUNTIME
from bailie.local.readiness import condition, is_current, last_lines, waiting_for, why_not_ready

WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "ended with code 1: no such file"}}


def pod(*containers):
    return {"metadata": {"name": "p", "namespace": "a"}, "status": {"containerStatuses": list(containers)}}


def test_the_first_container_that_is_not_ready_says_why():
    ready = {"name": "agent", "ready": True, "state": {"running": {}}}
    failing = {"name": "mlserver", "ready": False, "state": WAITING}
    assert why_not_ready(pod(ready, failing)) == "mlserver: ended with code 1: no such file"


def test_a_running_container_may_not_be_ready_yet():
    assert why_not_ready(pod({"name": "x", "ready": False, "state": {"running": {}}})) == (
        "x: started, not ready yet"
    )


def test_a_pod_without_statuses_has_not_started():
    assert why_not_ready(pod()) == "not started yet"


def test_a_missing_condition_is_unknown():
    assert condition({}, "Ready")["status"] == "Unknown"


def test_a_status_of_an_older_generation_is_not_current():
    manifest = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}
    assert not is_current(manifest)
    manifest["status"]["observedGeneration"] = 2
    assert is_current(manifest)


def test_the_ends_of_all_logs_are_shown(tmp_path):
    folder = tmp_path / "a" / "p"
    folder.mkdir(parents=True)
    (folder / "agent.log").write_text("\n".join(map(str, range(10))))
    assert last_lines(tmp_path, "a/p") == [f"agent: {number}" for number in range(5, 10)]


def test_the_log_of_the_run_before_is_shown_only_where_this_one_is_silent(tmp_path):
    folder = tmp_path / "a" / "p"
    folder.mkdir(parents=True)
    (folder / "agent.previous.log").write_text("crashed")
    (folder / "agent.log").touch()
    assert last_lines(tmp_path, "a/p") == ["agent.previous: crashed"]
    (folder / "agent.log").write_text("starts")
    assert last_lines(tmp_path, "a/p") == ["agent: starts"]


def test_a_container_that_ended_is_told_by_its_code_not_by_its_last_words():
    state = {"terminated": {"exitCode": 3, "message": "2026-01-01 [info] all is well"}}
    manifest = {"status": {"containerStatuses": [{"name": "agent", "ready": False, "state": state}]}}
    assert why_not_ready(manifest) == "agent: ended with code 3"


class OnePod:
    """An API with one pod, which it says is ready, and with these SeldonRuntimes."""

    def __init__(self, pid, runtimes=()):
        self.runtimes = list(runtimes)
        state = {"name": "envoy", "containerID": f"process://{pid}", "ready": True, "state": {"running": {}}}
        ready = [{"type": "Ready", "status": "True"}]
        status = {"containerStatuses": [state], "conditions": ready}
        self.pod = {"metadata": {"namespace": "a", "name": "p"}, "status": status}

    async def list(self, kind, namespace):
        return SimpleNamespace(items={POD: [self.pod], SELDON_RUNTIME: self.runtimes}.get(kind, []))


@pytest.fixture
def gone():
    """A process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process


async def test_a_pod_of_the_life_before_is_not_ready(gone):
    waiting = await waiting_for(OnePod(gone.pid), ["a"], "a")
    assert {item.what for item in waiting} == {"pod a/p"}
    assert await waiting_for(OnePod(os.getpid()), ["a"], "a") == []


async def test_what_has_pods_that_are_not_ready_is_waited_for_as_well(gone):
    """Else the display would say that it is ready once it has a pod."""
    runtime = {"metadata": {"namespace": "a", "name": "seldon"}}
    waiting = await waiting_for(OnePod(gone.pid, [runtime]), ["a"], "b")
    assert [item.what for item in waiting][-1] == "SeldonRuntime a/seldon"


def test_a_line_without_an_end_is_shown_in_part(tmp_path):
    (tmp_path / "a" / "p").mkdir(parents=True)
    (tmp_path / "a" / "p" / "main.log").write_bytes(b"begun\n" + b"x" * 5_000_000 + b"\xff")
    (line,) = last_lines(tmp_path, "a/p")
    assert line == "main: " + "x" * 1000
