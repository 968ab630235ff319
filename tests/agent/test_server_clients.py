"""Who is connected to a server, by the kernel's list: real sockets, real processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.support.waiting import until_true

from bailie.agent.server_clients import ServerClients

CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("connected", flush=True)
sys.stdin.read()
"""


@contextmanager
def listening(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server(
            (address, 0), family=family, dualstack_ipv6=address == "::" and socket.has_dualstack_ipv6()
        )
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with server:
        yield server.getsockname()[1]


@contextmanager
def another_process(address, port):
    """A client that is not this process, until the end of the block."""
    command = [sys.executable, "-c", CLIENT, address, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"connected\n"
        yield
        client.stdin.close()


@pytest.mark.parametrize(
    ("listens", "asked"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")]
)
async def test_a_client_is_seen_until_it_goes(listens, asked):
    with listening(listens) as port:
        clients = ServerClients(asked, (port, 0))
        assert not await clients.connected()
        with socket.create_connection((asked, port)):
            assert not await clients.connected(), "this process is no client"
            with another_process(asked, port):
                assert await clients.connected()

            async def gone():
                return not await clients.connected()

            await until_true(gone)


async def test_clients_of_other_addresses_and_ports_do_not_count():
    with listening("127.0.0.1") as port, listening("127.0.0.2") as other, another_process("127.0.0.2", other):
        assert not await ServerClients("127.0.0.1", (port, other)).connected()
        assert not await ServerClients("127.0.0.2", (port,)).connected()
        assert await ServerClients("127.0.0.2", (other,)).connected()


async def test_nobody_is_seen_where_the_kernel_does_not_tell(tmp_path):
    assert not await ServerClients("127.0.0.1", (9000,), proc=tmp_path).connected()
