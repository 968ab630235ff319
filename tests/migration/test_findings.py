"""Each prepared fault on the embedded API: the plan names it with its remedy, and writes nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.api import running_api
from tests.support.operators import Audit, install, put_list
from tests.support.plan_faults import FAULTS
from tests.support.plan_grounds import (
    CENTRAL,
    HOME,
    BailieGround,
    Ground,
    bailie_around,
    old_ground,
)
from typer.testing import CliRunner

from bailie.cli.app import app
from bailie.kube.client import Client

READS = {"get", "list", "watch"}
PLACES = {f"f{number:02}": name for number, name in enumerate(FAULTS)}
LISTED = [place for place, name in PLACES.items() if isinstance(FAULTS[name].ground(place), BailieGround)]
DISCONNECTED = next(place for place, name in PLACES.items() if name == "disconnected")


def migrate(api, *arguments, token=None, tmp_path=None):
    kubeconfig = api.kubeconfig_for(token, tmp_path / "user.kubeconfig") if token else api.kubeconfig
    return CliRunner().invoke(app, ["migrate", "plan", *arguments, "--kubeconfig", str(kubeconfig)])


async def prepare(api, grounds, *, listed, served=(), agents=1):
    """Makes an installation of Bailie's with its central scheduler, and the namespaces."""
    await install(api, HOME, [CENTRAL])
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        for each in (*bailie_around(*served, agents=agents), *grounds):
            await (each.make(admin) if isinstance(each, Ground) else admin.create(each))
        await put_list(admin, HOME, [CENTRAL, *listed])


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The plans of all faulty namespaces, by place; made by one run of the command."""
    folder = tmp_path_factory.mktemp("plan")
    audit = Audit(folder / "audit.jsonl")
    with running_api(folder, audit_log=audit.path) as api:
        grounds = [FAULTS[name].ground(place) for place, name in PLACES.items()]
        for ground in grounds:
            FAULTS[PLACES[ground.namespace]].prepare(ground)
        asyncio.run(prepare(api, [old_ground(), *grounds], listed=LISTED, served=[DISCONNECTED], agents=0))
        before = len(audit.lines())
        result = migrate(api, *PLACES, "-o", "json")
        assert result.exit_code == 1, result.output
        plans = {each["namespace"]: each for each in json.loads(result.stdout)["plans"]}
        yield plans, audit.lines()[before:]


@pytest.mark.parametrize("place", PLACES, ids=PLACES.values())
def test_a_fault_is_named_with_its_remedy(planned, place):
    fault = FAULTS[PLACES[place]]
    found = planned[0][place]["findings"]
    told = [each for each in found if each["check"] == fault.check and fault.says in each["message"]]
    assert told, [each["message"] for each in found]
    assert fault.remedy in told[0]["remedy"]
    assert (told[0]["impact"] == "blocker") is fault.blocks


def test_nothing_is_written(planned):
    written = [line for line in planned[1] if line["verb"] not in READS]
    assert {line["resource"] for line in written} <= {"selfsubjectrulesreviews"}
    assert len(planned[1]) > len(PLACES)
