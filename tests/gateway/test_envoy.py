import json
import os
import signal
import stat
from pathlib import Path

import httpx
import psutil
import pytest
from tests.support import plain_http
from tests.support.dataplane import TOKEN, control_plane, envoy, free_port, process_of, took, until

from bailie.gateway import descriptors
from bailie.gateway.bootstrap import ADMIN_SOCKET, EnvoySettings
from bailie.gateway.envoy import command, settings_of, write_bootstrap
from bailie.gateway.listener import HTTP, LUA, ROUTER, Address
from bailie.gateway.settings import StarterSettings
from bailie.manifests.endpoints import endpoints_file
from bailie.routing.table import RoutingTable
from bailie.settings.reader import SettingsError


@pytest.fixture
def environment(tmp_path):
    token = tmp_path / "token"
    token.write_text("secret\n")
    return {"POD_NAME": "seldon-envoy-0", "POD_NAMESPACE": "a", "BAILIE_TOKEN_FILE": str(token)}


def settings_from(environment):
    return settings_of(StarterSettings.from_environment(environment))


def test_the_endpoints_file_of_a_scheduler_elsewhere(environment):
    folder = {"BAILIE_ENDPOINTS_DIR": "/run/endpoints"}
    own = settings_from({**environment, **folder, "SELDON_SCHEDULER_HOST": "seldon-scheduler"})
    other = settings_from({**environment, **folder, "SELDON_SCHEDULER_HOST": "seldon-scheduler.central"})
    assert str(own.scheduler_endpoints) == "/run/endpoints/a/seldon-scheduler.json"
    assert str(other.scheduler_endpoints) == "/run/endpoints/central/seldon-scheduler.json"


def test_settings_on_a_cluster(environment):
    settings = settings_from({**environment, "POD_IP": "10.1.2.3", "SELDON_SCHEDULER_HOST": "scheduler"})
    assert settings == EnvoySettings(
        pod="seldon-envoy-0",
        namespace="a",
        listen=(Address("10.1.2.3", 9000), Address("127.0.0.1", 9000)),
        probe=Address("10.1.2.3", 9003),
        scheduler_host="scheduler",
        scheduler_port=9002,
        scheduler_endpoints=None,
        token="secret",
    )


def test_limits_are_given(environment):
    given = {"BAILIE_ENVOY_MEMORY": "1000000", "BAILIE_ENVOY_MAX_CONNECTIONS": "7"}
    settings = settings_from(environment | given)
    assert (settings.memory, settings.max_connections) == (1_000_000, 7)


def test_settings_on_a_laptop(environment, tmp_path):
    laptop = {
        "POD_IP": "127.70.0.3",
        "BAILIE_HOST_PORTS": "http=127.0.0.1:31000,stats=127.0.0.1:31001",
        "BAILIE_ENDPOINTS_DIR": str(tmp_path),
    }
    settings = settings_from(environment | laptop)
    assert settings.listen == (Address("127.70.0.3", 9000), Address("127.0.0.1", 31000))
    assert settings.scheduler_endpoints == tmp_path / "a" / "seldon-scheduler.json"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"POD_NAME": ""}, "POD_NAME is not set"),
        ({"POD_NAMESPACE": ""}, "POD_NAMESPACE is not set"),
        ({"BAILIE_TOKEN_FILE": ""}, "BAILIE_TOKEN_FILE is not set"),
        (
            {"BAILIE_ENVOY_MEMORY": "0"},
            "BAILIE_ENVOY_MEMORY is '0'; it should be a whole number of bytes, 1 or more",
        ),
        ({"BAILIE_ENVOY_MEMORY": "9" * 30}, "a whole number of bytes, 1 or more"),
        ({"BAILIE_ENVOY_MEMORY": "1Gi"}, "is '1Gi'; it should be a whole number"),
        ({"BAILIE_ENVOY_MAX_CONNECTIONS": "-1"}, "BAILIE_ENVOY_MAX_CONNECTIONS is '-1'"),
        ({"BAILIE_HOST_PORTS": "http"}, "it should be name=address:port, separated by commas .not 'http'."),
        ({"BAILIE_HOST_PORTS": "http=127.0.0.1:x"}, "it should be name=address:port"),
    ],
)
def test_what_is_missing_is_named(environment, change, says):
    with pytest.raises(SettingsError, match=says):
        settings_from(environment | change)


def test_the_bootstrap_is_for_its_owner_only(environment, tmp_path):
    path = tmp_path / "bootstrap.json"
    path.write_text("older")
    path.chmod(0o644)
    write_bootstrap(settings_from(environment), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["node"]["id"] == "seldon-envoy-0"


async def test_an_envoy_on_a_laptop_follows_its_endpoints_file(tmp_path):
    """Two schedulers in the file, one of which does not listen; the probe listener and both data ports."""
    endpoints = tmp_path / "a" / "seldon-scheduler.json"
    data, extra, probe = free_port(), free_port(), free_port()

    def write(addresses, port):
        temporary = endpoints.with_suffix(".new")
        temporary.write_text(json.dumps(endpoints_file("seldon-scheduler", addresses, port)))
        temporary.replace(endpoints)

    settings = EnvoySettings(
        pod="seldon-envoy-0",
        namespace="ns",
        listen=(Address("127.0.0.1", data), Address("127.0.0.1", extra)),
        probe=Address("127.0.0.1", probe),
        scheduler_host="seldon-scheduler",
        scheduler_port=9002,
        scheduler_endpoints=endpoints,
        token=TOKEN,
    )
    path = tmp_path / "bootstrap.json"
    write_bootstrap(settings, path)
    assert endpoints.exists(), "Envoy does not start without the file"
    log = tmp_path / "log"
    with process_of(command(path, concurrency=1), log):
        async with plain_http.async_client() as client, control_plane() as (gateway, port):

            async def status(url):
                try:
                    return (await client.get(url)).status_code
                except httpx.TransportError:
                    return None

            async def probed():
                return await status(f"http://127.0.0.1:{probe}/ready")

            await until(lambda: "no healthy upstream" in log.read_text(), "Envoy looks for a scheduler")
            assert await probed() is None
            write(["127.0.0.1", "127.0.0.9"], port)
            await took(gateway, RoutingTable("ns"))

            async def ready():
                return await probed() == 200

            await until(ready, "Envoy is ready")
            for path_ in ("/live", "/stats", "/stats?filter=server", "/stats/prometheus"):
                assert await status(f"http://127.0.0.1:{probe}{path_}") == 200
            for port_ in (data, extra):
                assert await status(f"http://127.0.0.1:{port_}/v2/models/iris") == 404


NOT_FOR_STRANGERS = [
    ("GET", "/"),
    ("GET", "/config_dump"),
    ("GET", "/clusters"),
    ("GET", "/statsfoo"),
    ("GET", "/stats/"),
    ("GET", "/stats/../config_dump"),
    ("GET", "/stats/recentlookups"),
    ("GET", "/stats/%2e%2e/config_dump"),
    ("GET", "//config_dump"),
    ("POST", "/quitquitquit"),
    ("POST", "/stats/recentlookups/enable"),
    ("POST", "/stats/recentlookups/clear"),
    ("POST", "/reset_counters"),
    ("POST", "/stats"),
    ("POST", "/ready"),
    ("PUT", "/stats/prometheus"),
]


async def test_the_admin_interface_is_for_the_owner_of_the_pod(tmp_path):
    async with control_plane() as (gateway, port), envoy(tmp_path, port) as mesh:
        await took(gateway, RoutingTable("ns"))
        base = f"http://127.0.0.1:{mesh.probe}"
        async with plain_http.async_client(base_url=base) as client, mesh.admin() as admin:

            async def ready():
                return (await client.get("/ready")).status_code == 200

            await until(ready, "Envoy is ready")
            for method, path in NOT_FOR_STRANGERS:
                assert (await client.request(method, path)).status_code == 404, (method, path)
            assert TOKEN in (await admin.get("/config_dump")).text
        sockets = psutil.Process(mesh.process.pid).net_connections("inet")
        assert {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN} == {mesh.port, mesh.probe}
        socket = mesh.log.parent / ADMIN_SOCKET
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600


async def test_an_envoy_killed_before_finds_its_socket_again(tmp_path):
    for _ in range(2):
        async with control_plane() as (gateway, port), envoy(tmp_path, port) as mesh:
            await took(gateway, RoutingTable("ns"))
            async with mesh.admin() as admin:
                assert (await admin.get("/ready")).status_code == 200


def hanging(bootstrap: dict, port: int, fifo: Path) -> dict:
    """Adds a listener each request to which hangs its worker, which waits for a writer of the file."""
    endless = {"inline_string": f'function envoy_on_request(handle) io.open("{fifo}") end'}
    lua = {"@type": descriptors.type_url(LUA), "default_source_code": endless}
    http = {
        "@type": descriptors.type_url(HTTP),
        "stat_prefix": "hang",
        "route_config": {"name": "hang"},
        "http_filters": [
            {"name": "lua", "typed_config": lua},
            {"name": "router", "typed_config": {"@type": descriptors.type_url(ROUTER)}},
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    chains = [{"filters": [{"name": "http", "typed_config": http}]}]
    bootstrap["static_resources"]["listeners"].append({"address": address, "filter_chains": chains})
    return bootstrap


async def test_a_worker_that_hangs_ends_envoy(tmp_path):
    port = free_port()
    async with control_plane() as (gateway, xds):
        settings = EnvoySettings(
            pod="seldon-envoy-0",
            namespace="ns",
            listen=(Address("127.0.0.1", free_port()),),
            probe=Address("127.0.0.1", free_port()),
            scheduler_host="127.0.0.1",
            scheduler_port=xds,
            scheduler_endpoints=None,
            token=TOKEN,
        )
        path = tmp_path / "bootstrap.json"
        write_bootstrap(settings, path)
        os.mkfifo(tmp_path / "fifo")
        path.write_text(json.dumps(hanging(json.loads(path.read_text()), port, tmp_path / "fifo")))
        with process_of(command(path, concurrency=2), tmp_path / "log") as process:
            await took(gateway, RoutingTable("ns"))
            async with plain_http.async_client() as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/", timeout=60)
            await until(lambda: process.poll() is not None, "Envoy ends")
            assert process.returncode == -signal.SIGABRT
