"""What `bailie up` puts into the API, and what it leaves to the user."""

import pytest
from tests.support.api import running_api

from bailie.api.kinds import SELDON_RUNTIME, SERVER_CONFIG
from bailie.kube.client import Client
from bailie.local.bootstrap import RUNTIME_NAME, bootstrap
from bailie.local.settings import OPERATOR_NAMESPACE, LocalSettings


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


async def overrides(client):
    runtime = await client.get(SELDON_RUNTIME, RUNTIME_NAME, "default")
    return runtime["spec"].get("overrides", [])


async def test_the_number_of_schedulers_is_set_where_asked_for_and_else_left_alone(client, tmp_path):
    plain = LocalSettings(state_directory=tmp_path)
    await bootstrap(client, plain)
    assert await overrides(client) == []
    envoy = {"name": "seldon-envoy", "replicas": 2}
    await client.patch(SELDON_RUNTIME, RUNTIME_NAME, "default", {"spec": {"overrides": [envoy]}})
    await bootstrap(client, LocalSettings(state_directory=tmp_path, scheduler_replicas=3))
    three = [envoy, {"name": "seldon-scheduler", "replicas": 3}]
    assert await overrides(client) == three
    await bootstrap(client, plain)
    assert await overrides(client) == three
    await bootstrap(client, LocalSettings(state_directory=tmp_path, scheduler_replicas=1))
    assert await overrides(client) == [envoy, {"name": "seldon-scheduler", "replicas": 1}]


async def test_a_namespace_without_a_runtime_of_ours_stays_without(client, tmp_path):
    await bootstrap(
        client, LocalSettings(state_directory=tmp_path, default_servers=False, scheduler_replicas=3)
    )
    assert (await client.list(SELDON_RUNTIME, "default")).items == []


async def test_the_server_says_what_is_installed_and_no_more(client, tmp_path):
    await bootstrap(client, LocalSettings(state_directory=tmp_path, mlserver_environment=tmp_path))
    config = await client.get(SERVER_CONFIG, "mlserver", OPERATOR_NAMESPACE)
    agent = next(each for each in config["spec"]["podSpec"]["containers"] if each["name"] == "agent")
    said = {each["name"]: each.get("value") for each in agent["env"]}
    assert said["SELDON_SERVER_CAPABILITIES"] == "mlserver,python"
