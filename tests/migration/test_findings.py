"""Each prepared fault on the embedded API: the plan names it with its remedy, and writes nothing."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest
from tests.support.api import definitions, running_api
from tests.support.commands import CommandRunner
from tests.support.operators import Audit
from tests.support.plan_faults import FAULTS
from tests.support.plan_grounds import BailieGround, installed, old_ground

from bailie.cli.app import app

PLACES = {f"f{number:02}": name for number, name in enumerate(FAULTS)}
LISTED = [place for place, name in PLACES.items() if isinstance(FAULTS[name].ground(place), BailieGround)]
DISCONNECTED = next(place for place, name in PLACES.items() if name == "disconnected")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The plans of all faulty namespaces, by place; made by one run of the command."""
    folder = tmp_path_factory.mktemp("plan")
    audit = Audit(folder / "audit.jsonl")
    with running_api(folder, audit_log=audit.path, definitions=_without_rules_for_names()) as api:
        grounds = [FAULTS[name].ground(place) for place, name in PLACES.items()]
        for ground in grounds:
            FAULTS[PLACES[ground.namespace]].prepare(ground)
        grounds.append(old_ground())
        asyncio.run(installed(api, grounds, listed=LISTED, served=[DISCONNECTED], agents=0))
        before = audit.writes()
        words = ["migrate", "plan", *PLACES, "-o", "json", "--kubeconfig", str(api.kubeconfig)]
        result = CommandRunner().invoke(app, words)
        assert result.exit_code == 1, result.output
        plans = {each["namespace"]: each for each in json.loads(result.stdout)["plans"]}
        yield plans, audit.writes()[len(before) :]


def _without_rules_for_names():
    """Returns definitions like those of other installations, which have Servers with any name."""
    found = copy.deepcopy(definitions())
    for version in (version for each in found for version in each["spec"]["versions"]):
        version["schema"]["openAPIV3Schema"]["properties"]["metadata"] = {"type": "object"}
    return found


@pytest.mark.parametrize("place", PLACES, ids=PLACES.values())
def test_a_fault_is_named_with_its_remedy(planned, place):
    fault = FAULTS[PLACES[place]]
    found = planned[0][place]["findings"]
    told = [each for each in found if each["check"] == fault.check and fault.says in each["message"]]
    assert told, [each["message"] for each in found]
    assert fault.remedy in told[0]["remedy"]
    assert (told[0]["impact"] == "blocker") is fault.blocks


def test_nothing_is_written(planned):
    assert planned[1] == []
