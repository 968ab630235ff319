"""The node believes nobody: a pod that the API should have refused is not run, nor leaves its folder."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.hostile_pods import HOSTILE, MISSHAPEN
from tests.support.node import pod_manifest, running_node

from bailie.workloads.node.environment import ConfigError, Sources
from bailie.workloads.node.pods import PodContext, process
from bailie.workloads.node.settings import NodeSettings
from bailie.workloads.node.setup import manifest_causes
from bailie.workloads.node.volumes import realise
from kubeapi.storage.store import Key

KEYS = ("k", "../KEY", "/tmp/KEY", "a/b", "..", "x\0")


def pod(spec):
    return {"metadata": {"name": "p", "namespace": "a", "uid": "u"}, "spec": spec}


@pytest.mark.parametrize("spec", [*(spec for spec, _ in HOSTILE.values()), *MISSHAPEN.values()])
def test_the_node_finds_by_itself_what_the_api_refuses(spec):
    assert next(manifest_causes(pod(spec)), None) is not None


def outside(state):
    """Everything below a node's folder that is not in the pod's own folder or the namespace's claims."""
    inside = [state / "pods" / "u", state / "node" / "claims" / "a"]
    return sorted(
        str(path.relative_to(state))
        for path in state.rglob("*")
        if not any(path == each or each in path.parents or path in each.parents for each in inside)
    )


def run_on(state, spec):
    """What the node would do with a pod whose causes nobody has looked for."""
    node = NodeSettings(state_dir=state, api_url="", api_ca=state, programs={}, environment={})
    content = dict.fromkeys(KEYS, "x")
    names = ("m", "s", "", "../secrets/s", "../../b/secrets/s", "s?watch=true")
    sources = Sources(
        ip="127.0.0.1", secrets=dict.fromkeys(names, content), config_maps=dict.fromkeys(names, content)
    )
    paths = realise(pod(spec), sources, state / "pods" / "u", node)
    if isinstance(paths, ConfigError):
        return paths
    context = PodContext(sources=sources, programs={}, volumes=paths, base={}, directory=str(state))
    return [process(pod(spec), each, context) for each in spec["containers"]]


PLACES = [
    name for name in HOSTILE if name.startswith(("volume", "claim", "file", "secret's", "projected", "part"))
]
ODD = {"volume empty name", "volume of two kinds", "claim without name", "file without key"}


@pytest.mark.parametrize("name", [name for name in PLACES if name not in ODD])
def test_even_unchecked_nothing_is_written_outside(tmp_path, name):
    run_on(tmp_path, HOSTILE[name][0])
    assert outside(tmp_path) == []


_PARTS = st.sampled_from(["..", ".", "", "a", "b", "..data", "/", "\0", "a" * 300, "$(X)", "~", "\n", "ä"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=6).map("/".join)
_SOURCES = _PATHS.flatmap(
    lambda path: st.sampled_from(
        [
            {"emptyDir": {}},
            {"persistentVolumeClaim": {"claimName": path}},
            {"configMap": {"name": "m", "items": [{"key": "k", "path": path}]}},
            {"secret": {"secretName": "s"}},
            {"projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": path}]}}]}},
        ]
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_PATHS, _SOURCES, _PATHS, st.booleans())
def test_no_path_leads_out(tmp_path, name, source, part, by_expression):
    mount = {"name": name, "mountPath": "/m", "subPathExpr" if by_expression else "subPath": part}
    env = [{"name": "X", "value": "../../x"}]
    container = {"name": "c", "image": "i", "command": ["/m"], "volumeMounts": [mount], "env": env}
    found: object = None
    with suppress(OSError):  # too long a name: `PodSetup.context` says so
        found = run_on(tmp_path, {"volumes": [{"name": name, **source}], "containers": [container]})
    assert outside(tmp_path) == []
    if isinstance(found, list) and not isinstance(found[0], ConfigError):
        assert os.path.normpath(found[0].argv[0]).startswith(str(tmp_path))
        assert ".." not in found[0].argv[0].split("/")


def test_a_link_that_a_pod_put_into_its_volume_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    volume = {"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "deep/k"}]}}
    spec = {"volumes": [volume], "containers": [{"name": "c", "image": "i", "command": ["true"]}]}
    own = tmp_path / "pods" / "u" / "volumes" / "v"
    own.mkdir(parents=True)
    (own / "deep").symlink_to(elsewhere)
    assert "would be out of the volume" in run_on(tmp_path, spec).message
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("kept")
    volume = {"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "k"}]}}
    spec = {"volumes": [volume], "containers": [{"name": "c", "image": "i", "command": ["true"]}]}
    own = tmp_path / "pods" / "u" / "volumes" / "v"
    own.mkdir(parents=True)
    (own / ".k.draft").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        run_on(tmp_path, spec)
    assert target.read_text() == "kept"


def test_a_claim_that_is_a_link_to_a_neighbours_is_refused(tmp_path):
    claims = tmp_path / "node" / "claims"
    (claims / "b" / "x").mkdir(parents=True)
    (claims / "a").mkdir()
    (claims / "a" / "x").symlink_to(claims / "b" / "x")
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "x"}}
    spec = {"volumes": [volume], "containers": [{"name": "c", "image": "i", "command": ["true"]}]}
    assert run_on(tmp_path, spec).message == "volume v: 'x' is no claim of this namespace"


def complaint(found):
    """Why the pod's container is not started, once the node has tried."""
    statuses = (found.get("status") or {}).get("containerStatuses") or [{}]
    waiting = (statuses[0].get("state") or {}).get("waiting") or {}
    return waiting if waiting.get("reason") not in {None, "ContainerCreating"} else None


async def test_a_pod_that_was_stored_before_it_was_refused_waits_with_the_reason(api, tmp_path):
    """As after an upgrade: the database has a pod that the API would not take any more."""
    path = "/api/v1/namespaces/a/pods"
    manifest = pod_manifest("old", spec_volumes=[{"name": "v", "emptyDir": {}}])
    stored = await asyncio.to_thread(api.request, "POST", path, json=manifest)
    stored["spec"]["volumes"][0]["name"] = "../../../PWN"

    async def store():
        api.server.app.store.put(Key("/pods", "a", "old"), stored)

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(store(), api.loop))
    async with running_node(api, tmp_path) as node:
        waiting = await node.until("old", complaint)
        assert waiting["reason"] == "CreateContainerConfigError"
        assert "spec.volumes[0].name" in waiting["message"]
        assert not list(tmp_path.rglob("*PWN*"))
        await node.create(pod_manifest("other"))
        await node.until_ready("other")


async def test_what_no_system_call_takes_is_said(api, tmp_path):
    async with running_node(api, tmp_path) as node:
        await node.create(pod_manifest("null", script="echo a\0b"))
        waiting = await node.until("null", complaint)
        assert (waiting["reason"], "null" in waiting["message"]) == ("RunContainerError", True)
        assert json.dumps(waiting)
