"""What a Model's status says, state by state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.api.problems import Problem
from bailie.api.status import Condition
from bailie.lifecycle.conditions import ModelFacts, model_status, unready_reason
from bailie.lifecycle.version import Failure, Setback, VersionFacts, VersionState, state_of
from bailie.lifecycle.words import UNREADABLE, for_callers

NOW = "2026-01-01T00:00:00Z"
FAILURE = Failure(
    reason="ArtifactNotFound", message="/m is not there", replica="s-0", attempts=2, retry_at=65.0
)
SETBACK = Setback(reason="ModelNotReady", message="it is not ready", replica="s-0")
ONCE = Failure(reason="ModelFailed", message="it crashed", replica="s-0")


def facts(*, version=None, **fields):
    given = {"generation": 3, "number": 3, "server": "s", "scheduling": "1/1 replicas placed"}
    return ModelFacts(version=VersionFacts(**(version or {})), **{**given, **fields})


def said(status):
    return {
        each["type"]: f"{each['status']} {each['reason']}: {each.get('message', '')}"
        for each in status["conditions"]
    }


FAILED = "/m is not there (attempt 2 on s-0; next at 00:01:05Z)"
CASES = {
    "available": (
        facts(version={"placed": 1, "loaded": 1, "available": 1}),
        {
            "Ready": "True Ready: ",
            "ModelReady": "True ModelAvailable: ModelAvailable",
            "Scheduled": "True Placed: 1/1 replicas placed",
            "RolledOut": 'True ModelAvailable: 1/1 replicas answer on server "s"',
        },
        (3, 1, 1),
    ),
    "partial": (
        facts(version={"wanted": 2, "placed": 1, "loaded": 1, "available": 1}, scheduling="1/2: it has 1"),
        {
            "ModelReady": 'True ModelAvailable: 1/2 replicas answer on server "s"; 1/2: it has 1',
            "Scheduled": "True PartiallyPlaced: 1/2: it has 1",
        },
        (3, 1, 1),
    ),
    "one of two failed": (
        facts(version={"wanted": 2, "placed": 2, "loaded": 1, "available": 1, "failure": ONCE}),
        {
            "ModelReady": 'True ModelAvailable: 1/2 replicas answer on server "s"; '
            "it crashed (attempt 1 on s-0)",
        },
        (3, 2, 1),
    ),
    "one of two answers already": (
        facts(version={"wanted": 2, "placed": 2, "loaded": 1, "available": 1}),
        {"ModelReady": 'True ModelAvailable: 1/2 replicas answer on server "s"'},
        (3, 2, 1),
    ),
    "loading": (
        facts(version={"placed": 1}),
        {
            "Ready": 'False ModelProgressing: 0/1 replicas loaded on server "s"',
            "RolledOut": 'Unknown ModelProgressing: 0/1 replicas loaded on server "s"',
        },
        (3, 1, 0),
    ),
    "not in memory": (
        facts(version={"placed": 1, "loaded": 1, "available": 1}, evicted=1),
        {
            "ModelReady": 'True ModelAvailable: 1/1 replicas answer on server "s"; '
            "1 not in memory: the next request brings it back",
        },
        (3, 1, 1),
    ),
    "loaded again": (
        facts(version={"placed": 1, "setback": SETBACK}),
        {
            "Ready": 'False ModelNotReady: 0/1 replicas loaded on server "s"; it is not ready (s-0)',
            "RolledOut": 'False ModelNotReady: 0/1 replicas loaded on server "s"; it is not ready (s-0)',
        },
        (3, 1, 0),
    ),
    "one of two loaded again": (
        facts(version={"wanted": 2, "placed": 2, "loaded": 1, "available": 1, "setback": SETBACK}),
        {"ModelReady": 'True ModelAvailable: 1/2 replicas answer on server "s"; it is not ready (s-0)'},
        (3, 2, 1),
    ),
    "loaded, no route": (
        facts(version={"placed": 1, "loaded": 1}),
        {
            "Ready": "False RoutePending: loaded; waiting for the data plane to take over the route",
            "RolledOut": "Unknown RoutePending: loaded; waiting for the data plane to take over the route",
        },
        (3, 1, 0),
    ),
    "loaded, route refused": (
        facts(version={"placed": 1, "loaded": 1}, refusal="Envoy mesh-0 refuses iris: no such filter"),
        {
            "Ready": "False RoutePending: loaded; waiting for the data plane to take over the route; "
            "Envoy mesh-0 refuses iris: no such filter",
            "RolledOut": "False RoutePending: loaded; waiting for the data plane to take over the route; "
            "Envoy mesh-0 refuses iris: no such filter",
        },
        (3, 1, 0),
    ),
    "available, something else refused": (
        facts(version={"placed": 1, "loaded": 1, "available": 1}, refusal="Envoy mesh-0 refuses other: no"),
        {"RolledOut": 'True ModelAvailable: 1/1 replicas answer on server "s"'},
        (3, 1, 1),
    ),
    "loaded, server silent": (
        facts(version={"placed": 1, "loaded": 1, "silent": 1}),
        {
            "Ready": 'False ServerNotReady: loaded, but 1 of 1 replicas of server "s" do not answer; '
            "waiting for them"
        },
        (3, 1, 0),
    ),
    "loaded, server hangs": (
        facts(version={"placed": 1, "loaded": 1, "silent": 1, "hung": 1}),
        {
            "Ready": 'False ServerNotResponding: loaded, but 1 of 1 replicas of server "s" do not answer: '
            "a model may hang there; a server that goes on like this is restarted"
        },
        (3, 1, 0),
    ),
    "failed": (
        facts(version={"placed": 1, "failure": FAILURE}),
        {
            "Ready": f"False ArtifactNotFound: {FAILED}",
            "RolledOut": f"False ArtifactNotFound: {FAILED}",
            "Scheduled": "True Placed: 1/1 replicas placed",
        },
        (3, 1, 0),
    ),
    "nowhere": (
        facts(scheduling="0/1 servers fit: 1 is draining", server=""),
        {
            "Ready": "False ScheduleFailed: 0/1 servers fit: 1 is draining",
            "Scheduled": "False NoServerFits: 0/1 servers fit: 1 is draining",
        },
        (3, 0, 0),
    ),
    "below the minimum": (
        facts(version={"wanted": 3, "minimum": 2, "placed": 1, "available": 1}, scheduling="1/3"),
        {
            "Ready": "False BelowMinReplicas: 1/3; minReplicas is 2, so the Model is not Ready, "
            "while 1 replica answers",
            "Scheduled": "True PartiallyPlaced: 1/3",
        },
        (3, 1, 1),
    ),
    "below the minimum, none answers": (
        facts(version={"wanted": 3, "minimum": 2, "placed": 1}, scheduling="1/3"),
        {"RolledOut": "False BelowMinReplicas: 1/3; minReplicas is 2, so the Model is not Ready"},
        (3, 1, 0),
    ),
    "scaled to zero": (
        facts(version={"wanted": 0}),
        {
            "Ready": "False ModelScaledDown: the model is scaled to zero replicas",
            "Scheduled": "False ModelScaledDown: the model is scaled to zero replicas",
        },
        (3, 0, 0),
    ),
    "invalid": (
        facts(
            version={"valid": False}, problems=(Problem("spec.memory", "Invalid", "must be more than zero"),)
        ),
        {"Ready": "False Invalid: spec.memory: must be more than zero"},
        (3, 0, 0),
    ),
    "leaving": (
        facts(version={"deleted": True}),
        {"Ready": "False ModelTerminating: the model is being deleted"},
        (3, 0, 0),
    ),
    "an older version answers": (
        facts(version={"placed": 1, "failure": FAILURE}, answering=1, answering_replicas=2, observed=2),
        {
            "Ready": "True Ready: ",
            "ModelReady": "True PreviousVersionAnswers: version 1 answers on 2 replicas; "
            f"version 3: {FAILED}",
            "RolledOut": f"False ArtifactNotFound: {FAILED}",
        },
        (2, 2, 2),
    ),
    "an older version answers, its generation is not known": (
        facts(version={"placed": 1}, answering=1, answering_replicas=1, observed=9),
        {
            "ModelReady": "True PreviousVersionAnswers: version 1 answers on 1 replica; "
            'version 3: 0/1 replicas loaded on server "s"',
        },
        (2, 1, 1),
    ),
    "warnings": (
        facts(warnings=(Problem("spec.dedicated", "NoEffect", "does nothing"),)),
        {"SpecWarnings": "True NoEffect: spec.dedicated: does nothing"},
        (3, 0, 0),
    ),
    "settings that the server passes over": (
        facts(
            version={"placed": 1, "loaded": 1, "available": 1},
            ignored=("parallel_workers 4 has no effect", "nor has this"),
        ),
        {
            "ArtifactWarnings": "True NoEffect: parallel_workers 4 has no effect; nor has this",
            "Ready": "True Ready: ",
        },
        (3, 1, 1),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_status(case):
    given, expected, counts = case
    status = model_status(given, NOW)
    found = said(status)
    assert {key: found[key] for key in expected} == expected
    assert (status["observedGeneration"], status["replicas"], status["availableReplicas"]) == counts
    assert status["selector"] == f"server={given.server}"
    assert ("SpecWarnings" in found) == bool(given.warnings)
    assert ("ArtifactWarnings" in found) == bool(given.ignored)


@pytest.mark.parametrize(("path", "told"), [("model.pkl", "model.pkl"), ("", None)])
def test_the_part_of_the_artifact_that_is_served_is_told_and_taken_away_again(path, told):
    assert model_status(facts(artifact_path=path), NOW)["artifactPath"] == told


def test_the_word_of_seldon_cores_model_gateway_is_taken_away():
    assert model_status(facts(), NOW)["modelgwReady"] is None


COUNTS = st.integers(0, 3)
VERSIONS = st.builds(
    VersionFacts,
    valid=st.booleans(),
    deleted=st.booleans(),
    wanted=COUNTS,
    minimum=COUNTS,
    placed=COUNTS,
    loaded=COUNTS,
    silent=COUNTS,
    hung=COUNTS,
    available=COUNTS,
    failure=st.none() | st.just(FAILURE),
    setback=st.none() | st.just(SETBACK),
)


@given(VERSIONS, st.none() | st.integers(1, 2), st.integers(0, 4), st.integers(0, 4))
def test_ready_is_said_of_the_generation_that_answers_only(version, answering, observed, replicas):
    problems = () if version.valid else (Problem("spec", "Invalid", "it is"),)
    given_facts = ModelFacts(
        generation=3,
        number=3,
        version=version,
        server="s",
        scheduling="words",
        problems=problems,
        answering=answering,
        answering_replicas=replicas if answering else 0,
        observed=observed,
    )
    status = model_status(given_facts, NOW)
    conditions = {each["type"]: each for each in status["conditions"]}
    ready = conditions["Ready"]["status"] == "True"
    if ready and status["observedGeneration"] == 3:
        assert version.available >= version.enough
        assert answering is None
    if answering is not None:
        assert status["observedGeneration"] < 3
    if conditions["RolledOut"]["status"] == "True":
        assert version.available >= version.enough
    assert not (ready and version.deleted)
    assert all(each["reason"] for each in conditions.values())
    assert all(each.get("message") for each in conditions.values() if each["status"] == "False")


def test_times_move_with_the_status_only_and_strangers_stay():
    before = (
        Condition(type="Ready", status="True", reason="Ready", last_transition_time="then"),
        Condition(type="Scheduled", status="False", reason="NoServerFits", last_transition_time="then"),
        Condition(type="SpecWarnings", status="True", reason="NoEffect", last_transition_time="then"),
        Condition(type="Foreign", status="Unknown", last_transition_time="then"),
    )
    given = facts(version={"placed": 1, "loaded": 1, "available": 1}, conditions=before)
    times = {each["type"]: each["lastTransitionTime"] for each in model_status(given, NOW)["conditions"]}
    assert times == {
        "Ready": "then",
        "Scheduled": NOW,
        "ModelReady": NOW,
        "RolledOut": NOW,
        "Foreign": "then",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            facts(version={"placed": 1, "failure": FAILURE}, answering=1, answering_replicas=1, observed=2),
            {"ModelReady": 2, "Ready": 2, "RolledOut": 3, "Scheduled": 3, "Foreign": None},
        ),
        (
            facts(
                version={"placed": 1, "loaded": 1, "available": 1},
                warnings=(Problem("spec.dedicated", "NoEffect", "does nothing"),),
            ),
            {"ModelReady": 3, "Ready": 3, "RolledOut": 3, "Scheduled": 3, "SpecWarnings": 3, "Foreign": None},
        ),
    ],
)
def test_each_condition_says_which_generation_it_speaks_of(given, expected):
    given = replace(given, conditions=(Condition(type="Foreign", status="True"),))
    conditions = model_status(given, NOW)["conditions"]
    assert {each["type"]: each.get("observedGeneration") for each in conditions} == expected


@given(VERSIONS, st.just("") | st.just("Envoy refuses it"))
def test_a_version_is_said_to_have_failed_only_when_time_alone_does_not_mend_it(version, refusal):
    state, status = state_of(version), model_status(facts_of(version, refusal), NOW)
    rolled_out = next(each["status"] for each in status["conditions"] if each["type"] == "RolledOut")
    if state is VersionState.AVAILABLE:
        assert rolled_out == "True"
    elif state is VersionState.PROGRESSING:
        assert rolled_out == ("False" if version.setback else "Unknown")
    elif state is VersionState.ROUTE_PENDING:
        assert rolled_out == ("False" if refusal else "Unknown")
    else:
        assert rolled_out == "False"


def facts_of(version, refusal):
    problems = () if version.valid else (Problem("spec", "Invalid", "it is"),)
    return ModelFacts(generation=3, number=3, version=version, problems=problems, refusal=refusal)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"version": {"placed": 1, "failure": FAILURE}},
            ("ArtifactNotFound", "its artifact is not where its spec says"),
        ),
        ({"version": {"placed": 1}}, ("ModelProgressing", "it is being loaded")),
        (
            {
                "version": {"valid": False},
                "problems": (Problem("spec.storageUri", "InvalidValue", "is /secret/path"),),
            },
            ("InvalidValue", "its spec has a mistake"),
        ),
        (
            {"version": {"valid": False}, "problems": (Problem("", UNREADABLE, "Bailie failed"),)},
            ("Unreadable", "the control plane failed at reading its spec"),
        ),
        (
            {"version": {"placed": 1, "failure": replace(FAILURE, reason="/usr/lib is\nbroken")}},
            ("ModelFailed", "it could not be loaded"),
        ),
    ],
)
def test_what_callers_of_the_data_plane_are_told(fields, expected):
    assert unready_reason(facts(**fields)) == expected


def test_every_state_has_words_for_callers():
    states = set(VersionState) - {VersionState.FAILED, VersionState.AVAILABLE}
    assert [each for each in states if for_callers(each.value) == for_callers("ModelFailed")] == []


@given(st.text(max_size=3000), st.text(max_size=3000), st.booleans())
def test_messages_are_one_line_and_bounded_whatever_was_raised(first, second, available):
    counts = {"placed": 2, "wanted": 2, "loaded": int(available), "available": int(available)}
    failure, setback = replace(FAILURE, message=first), replace(SETBACK, message=second)
    for version in ({"failure": failure}, {"setback": setback}):
        status = model_status(facts(version={**counts, **version}, scheduling=first), NOW)
        for condition in status["conditions"]:
            message = condition.get("message", "")
            assert len(message) <= 600
            assert len(message.splitlines()) <= 1


@pytest.mark.parametrize("deleted", [False, True])
def test_facts_say_the_status_with_what_the_api_holds(deleted):
    """A pass counts neither the generation nor the conditions that the API holds; the writer brings them."""
    version = {"placed": 1, "loaded": 1, "available": 1, "deleted": deleted}
    counted = facts(version=version, answering=2, answering_replicas=1)
    held = (Condition(type="Foreign", status="Unknown", last_transition_time="then"),)
    assert counted.deleted is deleted
    assert counted.status(2, held, NOW) == model_status(replace(counted, observed=2, conditions=held), NOW)
    assert {each["type"] for each in counted.status(2, held, NOW)["conditions"]} > {"Foreign"}
