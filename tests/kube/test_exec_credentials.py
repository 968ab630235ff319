"""Kubeconfigs whose credentials a command gives: real commands, and the API that asks for a token."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

import pytest
import yaml

from bailie.api.kinds import NAMESPACE
from bailie.kube import errors
from bailie.kube.client import Client
from bailie.kube.clock import utc_now

V1 = "client.authentication.k8s.io/v1"
WRITES = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "runs").open("a") as runs:
    runs.write(os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
print((here / "answer").read_text())
"""


@pytest.fixture
def command(tmp_path, api):
    """Writes a kubeconfig with a command that prints what it is told; `runs` has what it was asked."""
    given = yaml.safe_load(api.kubeconfig.read_text())
    token = given["users"][0]["user"]["token"]
    (tmp_path / "plugin.py").write_text(WRITES)

    class Command:
        runs = tmp_path / "runs"

        @staticmethod
        def prints(status, version=V1):
            told = {"apiVersion": version, "kind": "ExecCredential", "status": status}
            (tmp_path / "answer").write_text(json.dumps(told))

        @staticmethod
        def client(version=V1, **fields):
            plugin = {
                "apiVersion": version,
                "command": sys.executable,
                "args": [str(tmp_path / "plugin.py")],
                "interactiveMode": "Never",
                **fields,
            }
            content = {**given, "users": [{"name": given["users"][0]["name"], "user": {"exec": plugin}}]}
            (tmp_path / "config").write_text(yaml.safe_dump(content))
            return Client.from_kubeconfig(tmp_path / "config")

    found = Command()
    found.token = token
    return found


def asked(command):
    return [json.loads(line) for line in command.runs.read_text().splitlines()]


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
async def test_requests_at_a_time_share_one_run_of_the_command(command, version):
    version = f"client.authentication.k8s.io/{version}"
    command.prints({"token": command.token}, version)
    async with command.client(version) as client:
        for _ in range(2):
            found = await asyncio.gather(*(client.get(NAMESPACE, "default") for _ in range(5)))
            assert {each["metadata"]["name"] for each in found} == {"default"}
    assert asked(command) == [
        {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    ]


async def test_a_token_that_is_over_or_not_accepted_is_asked_for_again(command):
    command.prints({"token": "old"})
    async with command.client() as client:
        with pytest.raises(errors.Unauthorized):
            await client.get(NAMESPACE, "default")
        over = utc_now() - timedelta(seconds=1)
        command.prints({"token": command.token, "expirationTimestamp": over.isoformat()})
        await client.get(NAMESPACE, "default")
        before = len(asked(command))
        await client.get(NAMESPACE, "default")
        assert len(asked(command)) == before + 1


async def test_a_relative_command_is_beside_the_kubeconfig(command, tmp_path):
    command.prints({"token": command.token})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "log-in").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "log-in").chmod(0o755)
    async with command.client(command="bin/log-in") as client:
        assert await client.get(NAMESPACE, "default")


BAD = {
    "no JSON": ("nothing", "printed no ExecCredential"),
    "another form": ('{"apiVersion": 5}', "printed no ExecCredential"),
    "another version": (f'{{"apiVersion": "{V1}beta1", "status": {{"token": "t"}}}}', 'printed "client'),
    "no token": (f'{{"apiVersion": "{V1}", "status": {{}}}}', "gave no token"),
    "a certificate": (
        f'{{"apiVersion": "{V1}", "status": {{"clientCertificateData": "x"}}}}',
        "a certificate, which is not supported",
    ),
    "a moment that is none": (
        f'{{"apiVersion": "{V1}", "status": {{"token": "t", "expirationTimestamp": "soon"}}}}',
        "printed no ExecCredential",
    ),
}


@pytest.mark.parametrize(("printed", "says"), BAD.values(), ids=BAD.keys())
async def test_an_answer_that_cannot_be_used_is_told(command, tmp_path, printed, says):
    (tmp_path / "answer").write_text(printed)
    async with command.client() as client:
        with pytest.raises(errors.Unconfigured, match=says):
            await client.get(NAMESPACE, "default")


COMMANDS = {
    "not installed": ({"command": "no-such-log-in", "installHint": "get it\x1b[31m"}, r"get it\\u001b\[31m"),
    "ends with an error": ({"command": "false", "args": []}, "ended with 1"),
}


@pytest.mark.parametrize(("fields", "says"), COMMANDS.values(), ids=COMMANDS.keys())
async def test_a_command_that_fails_is_told(command, fields, says):
    async with command.client(**fields) as client:
        with pytest.raises(errors.Unconfigured, match=says):
            await client.get(NAMESPACE, "default")


def test_a_version_that_nobody_knows_is_told_before_a_request(command, tmp_path):
    with pytest.raises(errors.Unconfigured, match=f"{tmp_path}/config: .*v9"):
        command.client("client.authentication.k8s.io/v9")
