"""`bailie migrate apply|rollback|finish|verify` against the embedded API, on objects that rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys

import pytest
from tests.support.api import running_api
from tests.support.commands import MOVES, CommandRunner
from tests.support.moves import OWN_POD, TEAM
from tests.support.plan_grounds import CENTRAL, HOME, BailieGround, installed, lease

from bailie.api.kinds import CONFIG_MAP, ROLE_BINDING, SELDON_RUNTIME
from bailie.cli.app import app
from bailie.cli.one_move import MoveRun
from bailie.cli.output import Output
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.manifests.objects import WORKLOAD_LABEL
from bailie.manifests.rbac import central_manifests, namespace_manifests
from bailie.migration.errors import Busy
from bailie.scope.claim import TERM_ANNOTATION

RUNNER = CommandRunner()
MERGE = {"content-type": "application/merge-patch+json"}
RECORD = f"/api/v1/namespaces/{TEAM}/configmaps/bailie-migration"
READY = {"type": "SchedulerReady", "status": "True", "reason": "ReplicasReady", "message": "m"}
LOCK = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/bailie-migration"
PAUSED = "waiting for scheduler: its pod starts"
STATUS = {"conditions": [{**READY, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


@contextlib.contextmanager
def central_namespace(directory):
    """`team` asks for the scheduler of `mesh`, and one of its own is ready to take over."""
    with running_api(directory) as running:
        asyncio.run(installed(running, [BailieGround(TEAM)], listed=[TEAM], served=[TEAM]))
        asyncio.run(prepare(running))
        yield running


@pytest.fixture
def api(tmp_path):
    with central_namespace(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """The same for tests that change nothing."""
    with central_namespace(tmp_path_factory.mktemp("api")) as running:
        yield running


async def prepare(api):
    notes = json.dumps({"agents": {"mlserver": 1}, "published": 1, "acknowledged": 1})
    metadata = {"name": "seldon-scheduler", "namespace": TEAM, "labels": {WORKLOAD_LABEL: "seldon-scheduler"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    rights = (*namespace_manifests(TEAM, HOME), *central_manifests(TEAM, CENTRAL))
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        await client.create({**service, "spec": {"ports": [{"port": 9005}]}})
        await client.create(lease("seldon-scheduler", TEAM, OWN_POD, **{TERM_ANNOTATION: notes}))
        for manifest in rights:
            await client.apply(manifest, force=True)
        await client.patch(SELDON_RUNTIME, "seldon", TEAM, {"status": STATUS}, subresource="status")


def migrate(api, *arguments, kubeconfig=None):
    return RUNNER.invoke(app, ["migrate", *arguments, "--kubeconfig", str(kubeconfig or api.kubeconfig)])


def found(api, kind, name, namespace):
    async def look():
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            return await client.get(kind, name, namespace)

    try:
        return asyncio.run(look())
    except NotFound:
        return None


def test_a_move_from_its_begin_to_its_end(api):
    result = migrate(api, "apply", TEAM, "--yes", "-o", "json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["writes"] == [
        'patch SeldonRuntime seldon in namespace team: {"spec":{"schedulerNamespace":null}}',
        'patch SeldonRuntime seldon in namespace mesh: {"spec":{"servesNamespaces":[]}}',
    ]
    assert "schedulerNamespace" not in found(api, SELDON_RUNTIME, "seldon", TEAM)["spec"]
    assert migrate(api, "apply", TEAM, "--yes", "-o", "json").stdout.count("patch") == 0
    result = migrate(api, "finish", TEAM, "--yes")
    assert result.exit_code == 1
    assert "the move has not come to its end: doctor" in result.stderr  # nothing runs in this cluster
    result = migrate(api, "verify", TEAM, "--timeout", "0", "-o", "json")
    assert result.exit_code == 4
    assert all(text.startswith("doctor: ") for text in json.loads(result.stdout)["missing"])
    assert found(api, ROLE_BINDING, "seldon-central-scheduler-rolebinding", TEAM)


SLOW = {
    "Server": {"serverConfig": "mlserver"},
    "Model": {"storageUri": "s3://a/b"},
    "Pipeline": {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}},
    "Experiment": {"candidates": [{"name": "iris", "weight": 1}]},
}


def test_what_was_not_ready_before_the_move_is_a_note_and_no_fault(api):
    group = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{TEAM}"
    for kind, spec in SLOW.items():
        api.request("POST", f"{group}/{kind.lower()}s", json={"metadata": {"name": "slow"}, "spec": spec})
    assert migrate(api, "apply", TEAM, "--yes").exit_code == 0
    missing, notes = verified(api)
    assert not [text for text in missing if "slow" in text]
    assert len(notes) == 1
    assert notes[0].startswith("not ready now, and not ready before the move either: ")
    assert all(f"{kind.lower()} slow: nothing is reported on it yet" in notes[0] for kind in SLOW)
    full = {"conditions": [{"type": "Ready", "status": "False", "message": "no server has room"}]}
    api.request("PATCH", f"{group}/models/iris/status", json={"status": full}, headers=MERGE)
    missing, _ = verified(api)
    assert "model iris: no server has room" in missing
    assert f"doctor: models: Model {TEAM}/iris is not ready: no server has room" in missing


def verified(api):
    """Returns what a look of `verify` misses, and its notes."""
    said = json.loads(migrate(api, "verify", TEAM, "--timeout", "0", "-o", "json").stdout)
    return said["missing"], said["notes"]


def test_servers_come_over_one_at_a_time_only_from_seldon_core_and_from_the_begin_on(api):
    result = migrate(api, "apply", TEAM, "--one-server-at-a-time", "--yes")
    assert result.exit_code == 1
    assert "no server is copied: the scheduler of the namespace is handed over" in result.stderr
    assert found(api, CONFIG_MAP, "bailie-migration", TEAM) is None
    assert migrate(api, "apply", TEAM, "--until", "rights", "--yes").exit_code == 0
    result = migrate(api, "apply", TEAM, "--one-server-at-a-time", "--yes")
    assert result.exit_code == 1
    assert "the move has begun with all Servers at once" in result.stderr
    assert f"`bailie migrate rollback {TEAM}`" in result.stderr


def test_print_writes_nothing_and_says_everything(api):
    before = api.request("GET", "/apis/mlops.seldon.io/v1alpha1/seldonruntimes")["metadata"]
    result = migrate(api, "apply", TEAM, "--print")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    patch = """kubectl patch seldonruntimes.mlops.seldon.io seldon --namespace team --type merge --patch """
    assert patch + """'{"spec":{"schedulerNamespace":null}}'""" in lines
    assert "kubectl wait models --all --for=condition=Ready --timeout=5m --namespace team" in lines
    assert found(api, CONFIG_MAP, "bailie-migration", TEAM) is None
    assert api.request("GET", "/apis/mlops.seldon.io/v1alpha1/seldonruntimes")["metadata"] == before


def test_a_release_that_has_an_object_is_told_its_next_upgrade(api):
    marks = {"meta.helm.sh/release-name": "run", "meta.helm.sh/release-namespace": TEAM}
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{TEAM}/seldonruntimes/seldon"
    api.request("PATCH", path, json={"metadata": {"annotations": marks}}, headers=MERGE)
    line = "helm upgrade run ./charts/seldon-core-v2-runtime --namespace team --reuse-values"
    assert f"#   {line} --set schedulerNamespace=" in migrate(api, "apply", TEAM, "--print").stdout
    assert f"{line} --set schedulerNamespace=" in migrate(api, "apply", TEAM, "--yes").stderr


WRONG = {
    "nobody to ask": (["apply", TEAM], 2, "--yes begins without a question"),
    "no such step": (["apply", TEAM, "--until", "x"], 2, "steps: rights, redirect, scheduler, central"),
    "no namespace": (["apply", "A_b", "--yes"], 2, "A_b"),
    "not begun": (["rollback", TEAM, "--yes"], 3, "there is no move of namespace team"),
    "not begun either": (["finish", TEAM, "--yes"], 3, "hint: bailie migrate apply team"),
    "no move to verify": (["verify", TEAM], 3, "no ConfigMap bailie-migration"),
    "nothing there": (["apply", "empty", "--yes"], 1, "the move cannot begin: there is no such namespace"),
}


@pytest.mark.parametrize(("arguments", "code", "text"), WRONG.values(), ids=WRONG.keys())
def test_every_misuse_gets_a_sentence(untouched, arguments, code, text):
    result = migrate(untouched, *arguments)
    assert (result.exit_code, text in result.stderr) == (code, True), result.stderr


def test_without_rights_nothing_begins(untouched, tmp_path):
    api = untouched
    poor = api.kubeconfig_for(api.token("poor"), tmp_path / "poor")
    result = migrate(api, "apply", TEAM, "--yes", kubeconfig=poor)
    assert result.exit_code == 1
    assert "forbidden" in result.stderr
    assert "hint: ask for the right" in result.stderr


def test_a_damaged_record_is_told_with_the_way_on(api):
    api.request("POST", RECORD.rpartition("/")[0], json={"metadata": {"name": "bailie-migration"}})
    result = migrate(api, "apply", TEAM, "--yes")
    assert result.exit_code == 1
    assert "it has no key record.json" in result.stderr
    assert "--from-what-is-there" in result.stderr
    assert migrate(api, "apply", TEAM, "--yes", "--from-what-is-there").exit_code == 0


@pytest.mark.parametrize("of", ["half", "another cluster"])
def test_a_record_of_before_that_is_none_changes_nothing(api, of):
    assert migrate(api, "apply", TEAM, "--until", "rights", "--yes").exit_code == 0
    text = api.request("GET", RECORD)["data"]["record.json"]
    uid = api.request("GET", f"/api/v1/namespaces/{TEAM}")["metadata"]["uid"]
    assert uid in text
    wrong = text[: len(text) // 2] if of == "half" else text.replace(uid, "uid-there")
    api.request("PATCH", RECORD, json={"data": {"record.json": wrong}}, headers=MERGE)
    before = api.request("GET", RECORD)
    for verb, *options in MOVES:
        result = migrate(api, verb, TEAM, *options)
        assert result.exit_code == 1, (verb, result.output)
        assert "is no record of a move that can be read" in result.stdout + result.stderr
        assert "--from-what-is-there" in result.stdout + result.stderr
    assert api.request("GET", RECORD) == before


@pytest.mark.parametrize("lose", ["delete", "damage"])
def test_a_move_whose_record_is_lost_can_still_go_back(api, lose):
    assert migrate(api, "apply", TEAM, "--yes").exit_code == 0
    if lose == "delete":
        api.request("DELETE", RECORD)
    else:
        api.request("PATCH", RECORD, json={"data": None}, headers=MERGE)
    lines = migrate(api, "rollback", TEAM, "--from-what-is-there", "--print").stdout
    assert '{"spec":{"schedulerNamespace":"mesh"}}' in lines
    assert '{"spec":{"servesNamespaces":["team"]}}' in lines


def test_verify_goes_on_looking_while_the_api_is_away(tmp_path):
    with central_namespace(tmp_path) as api:
        assert migrate(api, "apply", TEAM, "--yes").exit_code == 0
        words = ["migrate", "verify", TEAM, "--timeout", "3", "--kubeconfig", api.kubeconfig]
        process = subprocess.Popen(
            [sys.executable, "-m", "bailie", *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "waiting for doctor" in process.stderr.readline()
    with process:
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 4, said
    assert "error: after 3 s: Kubernetes API: " in said


def waiting_for_its_pod(api):
    """Has the step `scheduler` wait without end."""
    waiting = {"conditions": [{**STATUS["conditions"][0], "status": "False", "message": "its pod starts"}]}
    runtime = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{TEAM}/seldonruntimes/seldon/status"
    api.request("PATCH", runtime, json={"status": waiting}, headers=MERGE)


def started(api, verb="apply"):
    """A command of its own process, in the middle of the move."""
    words = [sys.executable, "-m", "bailie", "migrate", verb, TEAM, "--yes", "--kubeconfig", api.kubeconfig]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until_it_says(process, words):
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return
    raise AssertionError(said)


@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_of_two_people_the_second_is_told_who_moves_and_goes_on_when_the_first_is_killed(api, verb):
    waiting_for_its_pod(api)
    with started(api) as first:
        until_it_says(first, PAUSED)
        before = api.request("GET", RECORD)
        second = migrate(api, verb, TEAM, "--yes")
        assert second.exit_code == 1
        assert f"({first.pid}), namespace {TEAM} moves a namespace since 2" in second.stderr
        assert "hint: wait until that move has ended" in second.stderr
        assert api.request("GET", RECORD) == before
        first.kill()
    api.request("PATCH", LOCK, json={"spec": {"leaseDurationSeconds": 1}}, headers=MERGE)
    with started(api, verb) as third:
        until_it_says(third, PAUSED)
        assert f"({third.pid})" in api.request("GET", LOCK)["spec"]["holderIdentity"]
        third.kill()


def test_two_that_begin_in_one_moment_are_one_move(api):
    """The second has read the namespace before the first changed it: it has no state of before to keep."""

    async def both():
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            first, second = (MoveRun(client, TEAM, Output.JSON) for _ in range(2))
            records = [await each.record() for each in (first, second)]
            await first.alone(records[0], first.executor.apply)
            with pytest.raises(Busy, match=rf"has begun a move of namespace {TEAM} at {records[0].begun}"):
                await second.alone(records[1], second.executor.apply)

    asyncio.run(both())
    kept = json.loads(api.request("GET", RECORD)["data"]["record.json"])
    assert [line["step"] for line in kept["log"]] == ["scheduler", "central"]


def test_an_interrupt_names_the_way_on_and_frees_the_lock(api):
    waiting_for_its_pod(api)
    with started(api) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if PAUSED in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, said
    assert said[-2:] == [
        "error: interrupted\n",
        f"hint: the same command goes on; `bailie migrate rollback {TEAM}` goes back\n",
    ]
    assert api.request("GET", LOCK)["spec"]["holderIdentity"] == ""
