"""Volumes on disk, from contents that were read already."""

from __future__ import annotations

import pytest

from bailie.workloads.node.environment import ConfigError, Sources
from bailie.workloads.node.settings import NodeSettings
from bailie.workloads.node.volumes import named, realise

SOURCES = Sources(ip="127.1.0.1", secrets={"s": {"a": "1", "b": "\udcff"}}, config_maps={"c": {"k": "v"}})


@pytest.fixture
def settings(tmp_path):
    return NodeSettings(state_dir=tmp_path, api_url="", api_ca=tmp_path, programs={}, environment={})


def pod(*volumes, **container):
    spec = {"volumes": list(volumes), "containers": [{"name": "c", **container}]}
    return {"metadata": {"name": "p", "namespace": "a"}, "spec": spec}


def test_everything_named_is_found():
    env = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "k"}}},
        {"name": "C", "value": "x"},
    ]
    env_from = [{"secretRef": {"name": "s2"}}, {"configMapRef": {"name": "c2"}}]
    projected = [{"secret": {"name": "s4"}}, {"configMap": {"name": "c4"}}]
    found = named(
        pod(
            {"name": "v", "secret": {"secretName": "s3"}},
            {"name": "w", "configMap": {"name": "c3"}},
            {"name": "x", "projected": {"sources": projected}},
            {"name": "y", "emptyDir": {}},
            env=env,
            envFrom=env_from,
        )
    )
    assert found == {(kind, f"{kind[0].lower()}{n}") for kind in ("Secret", "ConfigMap") for n in range(1, 5)}


def test_contents_become_files_for_the_owner_only(tmp_path, settings):
    paths = realise(pod({"name": "v", "secret": {"secretName": "s"}}), SOURCES, tmp_path / "p", settings)
    files = sorted((tmp_path / "p" / "volumes" / "v").iterdir())
    assert paths == {"v": str(tmp_path / "p" / "volumes" / "v")}
    assert [(path.name, path.read_bytes()) for path in files] == [("a", b"1"), ("b", b"\xff")]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_chosen_items_and_several_sources_in_one_directory(tmp_path, settings):
    sources = [
        {"secret": {"name": "s", "items": [{"key": "a", "path": "deep/er"}]}},
        {"configMap": {"name": "c"}},
        {"secret": {"name": "none", "optional": True}},
    ]
    volume = {"name": "v", "projected": {"sources": sources}}
    realise(pod(volume), SOURCES, tmp_path, settings)
    assert (tmp_path / "volumes/v/deep/er").read_text() == "1"
    assert (tmp_path / "volumes/v/k").read_text() == "v"


@pytest.mark.parametrize(
    ("volume", "where"),
    [
        ({"hostPath": {"path": "/srv/models"}}, "/srv/models"),
        ({"persistentVolumeClaim": {"claimName": "m"}}, "{state}/node/claims/a/m"),
        ({"emptyDir": {}}, "{state}/p/volumes/v"),
    ],
)
def test_directories(tmp_path, settings, volume, where):
    paths = realise(pod({"name": "v", **volume}), SOURCES, tmp_path / "p", settings)
    assert paths == {"v": where.format(state=tmp_path)}


@pytest.mark.parametrize(
    ("volume", "sentence"),
    [
        ({"secret": {"secretName": "no"}}, "volume v: Secret no does not exist in the pod's namespace"),
        (
            {"configMap": {"name": "c", "items": [{"key": "x", "path": "x"}]}},
            "volume v: ConfigMap c has no key x",
        ),
        ({"nfs": {}}, "volume v: nfs is not supported for local processes"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path, settings, volume, sentence):
    assert realise(pod({"name": "v", **volume}), SOURCES, tmp_path, settings) == ConfigError(sentence)
