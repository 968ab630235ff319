"""Bad input through the whole engine: each gets words, and none holds up another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.control.test_pipeline_versions import World
from tests.support.fleet import FAILED, LOADED
from tests.support.passes import Pass
from tests.support.schema_objects import objects

from bailie.control.acknowledgements import DRAIN_SECONDS
from bailie.lifecycle.conditions import model_status
from bailie.lifecycle.version import VersionState
from bailie.placement import ReplicaId

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers(-(2**40), 2**40) | JSON
QUANTITIES = st.sampled_from(["9E", "8Ei", "1e30", "99999999999999999999999Ei", "-1Mi", "0", "m", ""]) | JSON
MODEL_SPECS = st.fixed_dictionaries(
    {"storageUri": st.just("/m") | JSON},
    optional={
        "replicas": NUMBERS,
        "minReplicas": NUMBERS,
        "maxReplicas": NUMBERS,
        "memory": QUANTITIES,
        "server": JSON,
        "requirements": st.lists(st.text(max_size=5), max_size=3) | JSON,
        "explainer": JSON,
        "parameters": JSON,
    },
)


def world():
    made = Pass()
    made.agents.connect()
    return made


def said(given):
    """Every condition of a model's status as `True Reason: words`."""
    conditions = model_status(given, "2026-01-01T00:00:00Z")["conditions"]
    return {
        each["type"]: f"{each['status']} {each['reason']}: {each.get('message', '')}" for each in conditions
    }


@settings(max_examples=100)
@given(MODEL_SPECS | JSON)
def test_no_model_spec_holds_up_another_model(spec):
    found = world()
    found.model("bad")
    found.models["bad"]["spec"] = spec
    found.model("good")
    assert "load good_1 mlserver-0" in found.step()
    facts = found.engine.result.facts["bad"]
    conditions = said(facts)
    assert facts.version.placed or conditions["ModelReady"].partition(": ")[2]


STORED = {
    "Model": "models",
    "Pipeline": "pipelines",
    "Experiment": "experiments",
    "Server": "servers",
    "SeldonRuntime": "runtimes",
}
"""Where a world has the objects of each kind."""


@pytest.mark.parametrize("kind", STORED)
@settings(max_examples=25)
@given(data=st.data())
def test_no_object_that_the_api_takes_holds_up_a_model(kind, data):
    found = World()
    found.connect()
    found.served("iris")
    found.served("rose")
    found.answering("flower")
    getattr(found, STORED[kind])["bad"] = data.draw(objects(kind, "bad"))
    found.model("good")
    assert "load good_1 mlserver-0" in found.step()
    told = [found.engine.result.facts, *found.engine.result.further.values()]
    for facts in (each for kind in told for each in kind.values()):
        facts.status(0, (), "2026-01-01T00:00:00Z")
    found.step(60.0)


def test_a_delivery_whose_default_is_empty_gets_words():
    found = World()
    found.connect()
    annotations = {"bailie.io/progressive": "steps=20%:10s"}
    found.experiment(default="", metadata={"annotations": annotations}, iris=1, rose=1)
    found.model("good")
    assert "load good_1 mlserver-0" in found.step()
    facts = found.engine.result.further["Experiment"]["flower"]
    assert facts.refused.reason == "InvalidDelivery"
    assert "spec.default names none" in facts.refused.message


@settings(max_examples=100)
@given(
    st.fixed_dictionaries(
        {}, optional={"replicas": NUMBERS, "minReplicas": NUMBERS, "serverConfig": JSON, "capabilities": JSON}
    )
    | JSON,
    st.fixed_dictionaries({}, optional={"replicas": st.integers(-9, 9) | JSON, "conditions": JSON}) | JSON,
)
def test_no_server_holds_up_another_server(spec, status):
    found = world()
    found.server("bad")
    found.servers["bad"] |= {"spec": spec, "status": status}
    found.agents.connect(ReplicaId("bad", 0), capabilities=("xgboost",))
    found.model("good", requirements=["sklearn"])
    assert "load good_1 mlserver-0" in found.step()
    found.engine.missing(found.now())


def test_memory_beyond_all_numbers_of_a_replica_is_counted_as_it_is_said():
    found = world()
    found.agents.change(memory_bytes=2**64 - 1)
    found.model("large", memory="8Ei")
    found.model("larger", memory="7.9Ei")
    assert found.step() == ["load larger_1 mlserver-0"]
    assert "is too large" in said(found.engine.result.facts["large"])["ModelReady"]


def test_an_agent_of_a_server_that_nobody_asked_for_gets_nothing():
    found = world()
    found.agents.connect(ReplicaId("stranger", 0), memory_bytes=1 << 40)
    found.model(server="stranger")
    assert found.step() == []
    assert found.engine.result.facts["iris"].scheduling == (
        '0/2 servers fit: 1 is scaled to zero, 1 is not server "stranger"'
    )


def test_reports_of_what_nobody_asked_for_are_unloaded_and_disturb_nobody():
    found = world()
    identity = found.served("good")
    for name, number in (("", 0), ("good", 7), ("x" * 300, 2**32 - 1), ("a/b\n", 3)):
        found.agents.report(name, "of-my-own", number, LOADED, declared_bytes=2**63)
    sent = found.step(DRAIN_SECONDS)
    assert len(sent) == 4
    assert all(command.startswith("unload ") for command in sent)
    assert found.publisher.backends("good") == {"good_1": {"mlserver-0"}}
    assert (found.state("good"), identity != "") == (VersionState.AVAILABLE, True)


class TestClocks:
    def test_a_wall_clock_that_jumps_changes_no_wait(self):
        found = world()
        identity = found.model()
        found.step()
        found.agents.report("iris", identity, 1, FAILED, reason="LoadFailed", message="it crashed")
        for jump in (-86400.0, 86400.0 * 365):
            found.wall += jump
            assert found.step() == []
        assert found.step(4.9) == []
        assert found.step(0.1) == ["load iris_1 mlserver-0"]

    def test_a_machine_that_slept_moves_nothing(self):
        found = world()
        found.served()
        assert found.step(8 * 3600.0) == []
        assert found.state() is VersionState.AVAILABLE


BAD_MODELS = {
    "negative-minimum": (
        {"minReplicas": -1},
        "ModelReady",
        "False InvalidScaling: spec.minReplicas: must not be negative, but is -1",
    ),
    "contradiction": (
        {"minReplicas": 3, "maxReplicas": 2},
        "ModelReady",
        "False InvalidScaling: spec.minReplicas: minReplicas 3 is more than maxReplicas 2",
    ),
    "more-than-allowed": (
        {"replicas": 4, "maxReplicas": 2},
        "Ready",
        "False InvalidScaling: spec.replicas: replicas 4 is more than maxReplicas 2",
    ),
    "pinned-nowhere": (
        {"server": "mlsrver"},
        "Scheduled",
        (
            'False NoServerFits: 0/1 servers fit: 1 is not server "mlsrver" '
            '(there is none of that name; did you mean "mlserver"?)'
        ),
    ),
    "no-such-capability": (
        {"requirements": ["quantum"]},
        "Scheduled",
        'False NoServerFits: 0/1 servers fit: 1 lacks capability "quantum"',
    ),
    "overflowing": (
        {"memory": "99999999999Ei"},
        "ModelReady",
        'False Invalid: spec.memory: quantity "99999999999Ei" is too large',
    ),
    "negative-memory": (
        {"memory": "-1Mi"},
        "ModelReady",
        'False Invalid: spec.memory: must be more than zero, not "-1Mi"',
    ),
    "l" * 63: ({}, "Ready", "True Ready: "),
    "negative-replicas": (
        {"replicas": -1},
        "SpecWarnings",
        "True NoEffect: spec.replicas: is -1 and counts as unset; one replica is wanted",
    ),
}


async def test_every_bad_model_gets_words_and_a_good_one_is_served_beside_them(namespace):
    namespace.server()
    for name, (spec, _, _) in BAD_MODELS.items():
        namespace.model(name, **spec)
    namespace.model("good", requirements=["sklearn"])
    async with namespace.scheduler(), namespace.replica().running():
        await namespace.ready("good")
        for name, (_, kind, words) in BAD_MODELS.items():
            assert await namespace.says(words, kind, name) == words
        await namespace.ready("negative-replicas")
        namespace.change("contradiction", minReplicas=1)
        await namespace.ready("contradiction")


async def test_a_name_beyond_the_limit_is_refused(namespace):
    with pytest.raises(AssertionError, match=r"metadata\.name"):
        namespace.model("l" * 64)


async def test_a_second_server_of_one_name_is_refused(namespace):
    namespace.server()
    with pytest.raises(AssertionError, match="already exists"):
        namespace.server()
