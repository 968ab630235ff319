"""Models that hang, fail or end the server: the others go on, and each Model says what it is about."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from benchmarks.bad_loads import HEAD, LOADS, NONE, asking
from tests.e2e.conftest import SYSTEM, until
from tests.support import plain_http

pytestmark = pytest.mark.e2e

SERVER = "loads"
GOOD = [f"loads-good-{number}" for number in range(3)]
FAILS = "raise ValueError('no weights in ' + __file__)"


class Callers:
    """Ask the good models one after the other until they are told to end."""

    def __init__(self, url):
        self.url, self.failures, self.answers, self.in_a_row = url, [], 0, 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        with plain_http.client(timeout=30) as client:
            while not self._end.wait(0.02):
                for name in GOOD:
                    answer = client.post(f"{self.url}/v2/models/{name}/infer", json=NONE)
                    self.answers += 1
                    self.in_a_row += 1
                    if not answer.is_success:
                        self.in_a_row = 0
                        self.failures.append((time.monotonic(), answer.json()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._thread.join(60)


@pytest.fixture(scope="module")
def server(stack):
    """One replica that no other test uses."""
    metadata = {"name": SERVER, "namespace": SYSTEM}
    hasty = {"name": "mlserver", "env": [{"name": "BAILIE_HUNG_SECONDS", "value": "4"}]}
    spec = {"serverConfig": "mlserver", "replicas": 1, "podSpec": {"containers": [hasty]}}
    stack.apply(
        {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server", "metadata": metadata, "spec": spec}
    )
    yield
    stack.kubectl("delete", "server", SERVER, "-n", SYSTEM, "--timeout=60s")


@pytest.fixture
def put(server, model, tmp_path):
    """Applies a Model with such a load."""

    def apply(name, load):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.py").write_text(HEAD.replace("{load}", LOADS.get(load, load)))
        model(name, storageUri=str(folder), requirements=["python"], memory="1Mi", server=SERVER)

    return apply


@pytest.fixture
def good(stack, put):
    for name in GOOD:
        put(name, "good")
    for name in GOOD:
        stack.wait_ready(name, seconds=120)


def said(stack, name, *words):
    """The condition of a Model once it has these words."""

    def look():
        found = stack.condition(name, "ModelReady")
        text = f"{found.get('reason')}: {found.get('message')}"
        return text if all(word in text for word in words) else ""

    return until(look, seconds=60, what=f"{name} says {words}")


def mlserver_restarts(stack):
    """How often the inference server of the one replica was started again."""
    pod = json.loads(stack.kubectl("get", "pod", f"{SERVER}-0", "-n", SYSTEM, "-o", "json"))
    return {each["name"]: each["restartCount"] for each in pod["status"]["containerStatuses"]}["mlserver"]


def test_loads_that_hang_or_fail_leave_the_others_alone(stack, put, good):
    with Callers(stack.url()) as callers:
        for name in ("awaits", "sleeps"):
            put(f"loads-{name}", name)
        put("loads-fails", FAILS)
        put("loads-small", "good")
        stack.wait_ready("loads-small", seconds=30)
        for name in ("awaits", "sleeps"):
            said(stack, f"loads-{name}", "ModelProgressing", "loading since")
        told = said(stack, "loads-fails", "ServerLoadError", "no weights in /")
        refused = plain_http.post(f"{callers.url}/v2/models/loads-fails/infer", json=NONE)
    assert callers.answers > 20
    assert callers.failures == []
    assert "next at" in told
    assert (refused.status_code, refused.json()) == (
        503,
        {
            "error": f"model loads-fails in namespace {SYSTEM} is not ready: it could not be loaded; "
            "`kubectl describe model loads-fails` says more",
            "reason": "ServerLoadError",
            "model": "loads-fails",
            "namespace": SYSTEM,
        },
    )


def test_a_model_that_hangs_in_predict_leaves_the_others_alone(stack, put, good):
    put("loads-stalls", "good")
    stack.wait_ready("loads-stalls", seconds=30)
    url = f"{stack.url()}/v2/models/loads-stalls/infer"
    with Callers(stack.url()) as callers, ThreadPoolExecutor() as pool:
        answer = pool.submit(plain_http.post, url, json=asking(600), timeout=60)
        put("loads-small", "good")
        stack.wait_ready("loads-small", seconds=30)
        told = said(stack, "loads-stalls", "ModelNotResponding", "a request has been computing since")
        refused = plain_http.post(url, json=NONE)
        stack.wait_ready("loads-stalls", seconds=60)
        assert plain_http.post(url, json=NONE).is_success
    assert "it is loaded again at" in told
    for each in (answer.result(), refused):
        assert (each.status_code, each.json()["reason"]) == (503, "ModelNotResponding")
    assert callers.answers > 20
    assert callers.failures == []


def test_a_load_that_ends_the_server_is_found_out_and_costs_one_restart(stack, put, good):
    before = mlserver_restarts(stack)
    with Callers(stack.url()) as callers:
        put("loads-exits", "exits")
        told = said(stack, "loads-exits", "ServerCrashed", "ended while it was loading this version (1 time;")
        until(lambda: all(stack.condition(name)["status"] == "True" for name in GOOD), what="the others")
        put("loads-small", "good")
        stack.wait_ready("loads-small", seconds=30)
        # The server's end is told before the agent has seen that the others are lost.
        until(lambda: callers.in_a_row > 30, what="each of the others answers again")
        settled, again = time.monotonic(), callers.answers
        until(lambda: callers.answers > again + 60, what="more answers")
        restarts = mlserver_restarts(stack) - before
    assert "next at" in told
    assert [text for when, text in callers.failures if when > settled] == []
    assert restarts == 1
