"""`kubectl exec` and `kubectl cp`, unmodified, beside a container that the node runs."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import termios
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.anyjson import changed
from tests.support.cluster import Kubectl, kubectl_binaries
from tests.support.node import NAMESPACE, pod_manifest, running_node
from tests.support.waiting import until

from bailie.api.kinds import POD
from bailie.workloads.node import proc

PIPE = 65536
MOUNTED = {
    "volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}],
    "spec_volumes": [{"name": "data", "emptyDir": {}}],
}


@pytest.fixture(params=sorted(kubectl_binaries()))
def kubectl(request, api, tmp_path):
    return Kubectl(kubectl_binaries()[request.param], api.kubeconfig, NAMESPACE, tmp_path)


@pytest.fixture
async def node(api, tmp_path):
    """A node with the pod `p`."""
    async with running_node(api, tmp_path) as running:
        env = [{"name": "COLOUR", "value": "green"}]
        await running.create(pod_manifest("p", script="exec sleep 600", env=env, **MOUNTED))
        await running.until_ready("p")
        yield running


@pytest.fixture
def run(kubectl):
    """A kubectl command, off the loop on which the node runs."""

    async def call(*arguments, **options):
        return await asyncio.to_thread(kubectl.run, *arguments, **options)

    return call


async def test_a_command_has_the_containers_variables_folder_and_mounts(node, run):
    done = await run("exec", "p", "--", "sh", "-c", 'echo "$COLOUR $$ $(echo x)"; pwd; echo bad >&2')
    colour, place = done.out.splitlines()
    assert (done.code, colour.split()[0], colour.split()[-1]) == (0, "green", "x")
    assert place.endswith("/work/main")
    assert done.err == "bad\n"
    wrote = await run("exec", "-i", "p", "-c", "main", "--", "tee", "/mnt/data/x", stdin="content")
    assert wrote.out == "content"
    listed = await run("exec", "p", "--", "ls", "/mnt/data")
    assert listed.out == "x\n"


async def test_the_end_of_a_command_is_told(node, run):
    assert (await run("exec", "p", "--", "sh", "-c", "exit 7")).code == 7
    missing = await run("exec", "p", "--", "no-such-program")
    assert "there is no program no-such-program" in missing.err
    assert "container other is not valid for pod p" in (await run("exec", "p", "-c", "other", "--", "id")).err
    killed = await run("exec", "p", "--", "sh", "-c", "kill -9 $$")
    assert killed.code == 128 + signal.SIGKILL


async def test_copies_both_ways(node, run, tmp_path):
    here, back = tmp_path / "here", tmp_path / "back"
    here.mkdir()
    content = os.urandom(3_000_000)
    (here / "large").write_bytes(content)
    assert (await run("cp", str(here / "large"), "p:copy")).code == 0
    assert (await run("cp", str(here), "p:folder")).code == 0
    assert (await run("exec", "p", "--", "ls", "folder")).out == "large\n"
    assert (await run("cp", "p:folder/large", str(back))).code == 0
    assert back.read_bytes() == content


async def test_a_terminal(node, kubectl):
    ours, theirs = pty.openpty()
    command = kubectl.command(
        "exec", "-it", "p", "--", "sh", "-c", "test -t 0 && stty size && read x && echo [$x]"
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=kubectl.environment(),
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = b""

    def says(text):
        nonlocal shown
        try:
            shown += os.read(ours, 4096)
        except BlockingIOError:
            pass
        except OSError:  # the other side has closed
            return text in shown
        return text in shown

    await until(lambda: says(b"0 0") or b"\r\n" in shown)
    os.write(ours, b"typed\r")
    await until(lambda: says(b"[typed]"))
    assert await process.wait() == 0
    os.close(ours)


def processes(mark):
    """The pids whose command line has this word."""
    found = []
    for pid in proc.pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words and b"kubectl" not in words[0]:
            found.append(pid)
    return found


def unread(pid):
    """The bytes in the pipe that is the standard input of a process."""
    with Path(f"/proc/{pid}/fd/0").open("rb") as pipe:
        return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


async def test_a_command_ends_with_its_caller_and_with_its_container(node, kubectl, api, tmp_path):
    script = "sleep 987001 & sleep 987002"
    for how in ("caller", "container"):
        process = await asyncio.create_subprocess_exec(
            *kubectl.command("exec", "p", "--", "sh", "-c", script), env=kubectl.environment()
        )
        await until(lambda: processes("987001") and processes("987002"))
        if how == "caller":
            process.kill()
        else:
            await node.client.delete(POD, "p", NAMESPACE)
        await until(lambda: not processes("987001") and not processes("987002"))
        assert await process.wait() != 0


async def test_a_caller_that_leaves_while_the_command_does_not_read(node, kubectl):
    """Nothing is read from the connection then, so that its end would not be seen there: the API asks every
    two seconds. uvicorn would ask every twenty, and notice it after forty."""
    endless = os.open("/dev/zero", os.O_RDONLY)
    try:
        process = await asyncio.create_subprocess_exec(
            *kubectl.command("exec", "-i", "p", "--", "sleep", "987003"),
            stdin=endless,
            env=kubectl.environment(),
        )
        (pid,) = await until(lambda: processes("987003"))
        await until(lambda: unread(pid) == PIPE)
        process.kill()
        await process.wait()
    finally:
        os.close(endless)
    await until(lambda: proc.start_time(pid) is None, seconds=15)


async def test_a_later_node_ends_the_command_and_keeps_the_container(api, tmp_path, kubectl):
    async with running_node(api, tmp_path) as first:
        await first.create(pod_manifest("p"))
        pod = await first.until_ready("p")
        marked = f"{pod['metadata']['uid']}/main"
        done = await asyncio.to_thread(kubectl.run, "exec", "p", "--", "env")
        assert f"BAILIE_NODE_CONTAINER={marked}/exec" in done.out.splitlines()


async def test_what_cannot_be_says_what_to_do(node, run):
    attached = await run("attach", "p")
    assert "kubectl logs -f p" in attached.err
    debugged = await run("debug", "p", "--image=busybox")
    assert "kubectl exec -it p -- sh" in debugged.err


async def test_an_old_kubectl_hears_which_one_is_needed(node, run):
    old = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
    for command in (("exec", "p", "--", "id"), ("port-forward", "p", ":80")):
        done = await run(*command, **old)
        assert done.code != 0
        assert "use kubectl 1.31 or newer" in done.err


def asked(path, message, descriptors=()):
    """The node's answer to a packet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        socket.send_fds(connection, [message], list(descriptors))
        return json.loads(connection.recv(65536))


COMMAND = {"namespace": NAMESPACE, "pod": "p", "container": "main", "command": ["id"], "terminal": False}


@pytest.mark.parametrize(
    "message",
    [b"{", b"[]", b"7", b"\xff", b"{}", json.dumps({**COMMAND, "uid": 7, "more": 1}).encode()],
)
async def test_a_packet_that_is_no_command_is_answered(node, message):
    answer = await asyncio.to_thread(asked, node.settings.commands_socket, message)
    assert "the node could not read the command" in answer["error"]


@pytest.fixture
def nothing():
    """A descriptor of a stream that is empty, and drops what is written."""
    number = os.open(os.devnull, os.O_RDWR)
    yield number
    os.close(number)


@given(changed({**COMMAND, "uid": "u"}))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_command_does_harm(node, nothing, command):
    uid = (await node.pod("p"))["metadata"]["uid"]
    for message in (command, {**command, "uid": uid} if isinstance(command, dict) else command):
        text = json.dumps(message).encode(errors="replace")
        answer = await asyncio.to_thread(asked, node.settings.commands_socket, text, [nothing] * 3)
        assert answer.keys() <= {"code", "error"}


async def test_a_command_without_streams_is_refused(node):
    uid = (await node.pod("p"))["metadata"]["uid"]
    text = json.dumps({**COMMAND, "uid": uid}).encode()
    answer = await asyncio.to_thread(asked, node.settings.commands_socket, text)
    assert answer == {"error": "the command came without its streams"}


async def test_without_a_node_it_is_told_and_without_a_socket_pods_go_on(api, tmp_path, kubectl):
    (tmp_path / "node" / "commands.sock" / "x").mkdir(parents=True)  # nothing can be bound there
    async with running_node(api, tmp_path) as running:
        await running.create(pod_manifest("p"))
        await running.until_ready("p")
        done = await asyncio.to_thread(kubectl.run, "exec", "p", "--", "id")
        assert "no node of this machine takes commands now" in done.err
