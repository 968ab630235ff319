"""How a real etcd and kube-apiserver are started for this suite; whether they are is in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.controlplane import PROGRAMS, Plan, control_plane, missing

PLAN = Plan(Path("/assets"), Path("/state"), client_port=1, peer_port=2, api_port=3)


def test_the_api_is_started_on_the_store_that_is_started_first():
    etcd, api = PLAN.commands()
    assert (etcd[0], api[0]) == ("/assets/etcd", "/assets/kube-apiserver")
    assert {"--listen-client-urls=http://127.0.0.1:1", "--data-dir=/state/etcd"} <= set(etcd)
    assert {"--etcd-servers=http://127.0.0.1:1", "--secure-port=3", "--authorization-mode=RBAC"} <= set(api)


def test_all_is_on_loopback_and_in_the_folder_of_the_test():
    for option in (option for command in PLAN.commands() for option in command[1:]):
        name, value = option.removeprefix("--").split("=", 1)
        if "url" in name or "address" in name or name in {"etcd-servers", "service-account-issuer"}:
            assert "127.0.0.1" in value, option
        if name.endswith(("-dir", "-file")):
            assert value.startswith("/state/"), option


@pytest.mark.parametrize(
    ("there", "lacking"), [((), "no etcd and no kube-apiserver"), (("etcd",), "no kube-apiserver")]
)
def test_a_folder_without_the_programs_is_said_in_a_sentence(tmp_path, there, lacking):
    for name in there:
        (tmp_path / name).touch()
    assert missing(tmp_path) == f"KUBEBUILDER_ASSETS names {tmp_path}, which has {lacking}"


def test_a_whole_folder_lacks_nothing(tmp_path):
    for name in PROGRAMS:
        (tmp_path / name).touch()
    assert missing(tmp_path) == ""


def test_a_program_that_ends_is_said_at_once_and_the_other_one_is_ended(tmp_path):
    assets, folder = tmp_path / "assets", tmp_path / "state"
    assets.mkdir()
    folder.mkdir()
    pid = folder / "pid"
    _program(assets / "etcd", f"echo $$ > {pid}; exec sleep 600")
    _program(assets / "kube-apiserver", f"until [ -s {pid} ]; do sleep 0.02; done; exit 1")
    with (
        pytest.raises(AssertionError, match=r"kube-apiserver.* ended; see the logs"),
        control_plane(assets, folder),
    ):
        pass
    assert not Path("/proc", pid.read_text().strip()).exists()


def _program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
