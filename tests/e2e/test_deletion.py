"""A namespace is deleted with everything that runs and serves in it."""

import psutil
import pytest
from tests.e2e.conftest import Stack, bailie, processes_of, until

pytestmark = pytest.mark.e2e
FINALIZER = "seldon.model.finalizer"


@pytest.fixture
def two(tmp_path):
    state = tmp_path / "state"
    bailie("up", "-d", "--namespaces", "kept,doomed", "--state-dir", state)
    try:
        yield Stack(state)
    finally:
        bailie("down", "--state-dir", state)
        assert not processes_of(state)


def test_a_namespace_goes_within_a_minute_and_the_others_go_on(two, models):
    for namespace in ("kept", "doomed"):
        manifest = models.manifest("iris", namespace)
        manifest["metadata"]["finalizers"] = [FINALIZER]
        two.apply(manifest)
    for namespace in ("kept", "doomed"):
        two.wait_ready("iris", namespace)
        until(
            lambda n=namespace: not two.get("model", "iris", n)["metadata"].get("finalizers"), what="adoption"
        )
    doomed = two.status()["namespaces"]["doomed"]
    pids = {pod["pid"] for kind in ("schedulers", "envoys") for pod in doomed[kind]}
    pids |= {pid for server in doomed["servers"] for pod in server["pods"] for pid in pod["pids"].values()}
    assert len(pids) == 4
    kept = two.url("kept")
    try:
        two.kubectl("delete", "namespace", "doomed", "--timeout=60s", timeout=90)
    except AssertionError as error:
        left = two.kubectl(
            "get", "models,servers,seldonruntimes,pods", "-n", "doomed", "-o", "yaml", check=False
        )
        raise AssertionError(f"{error}: {left.stdout}") from None
    until(lambda: not any(map(psutil.pid_exists, pids)), seconds=30, what="the end of its processes")
    assert two.infer(models.expected["iris"], model="iris", url=kept).status_code == 200
    two.apply(models.manifest("later", "kept"))
    two.wait_ready("later", "kept")
