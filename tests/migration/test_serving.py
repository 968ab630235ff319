"""Objects that were not ready before a move: no step and no check waits for them, and people are told."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.moves import CENTRAL, HOME, TEAM
from tests.support.plan_grounds import READY, resource, seen_as

from bailie.doctor.checks import examine
from bailie.doctor.facts import Facts, NamespaceFacts, Term, Thing, Unknown
from bailie.doctor.finding import Level
from bailie.migration.record import MoveRecord, read_record
from bailie.migration.serving import (
    as_before,
    excused,
    excusing,
    object_digests,
    silent_names,
    unready,
    unready_as_before,
    unready_since,
)
from bailie.migration.source import MoveSource

KINDS = ("Server", "Model", "Experiment", "Pipeline")
RECORD = MoveRecord(
    namespace=TEAM,
    source=MoveSource.SELDON_SCOPED,
    home=HOME,
    central=CENTRAL,
    begun="2026-06-01T00:00:00Z",
    by="mary@desk",
)


def record_of(*manifests):
    """The record of a move of a namespace that had these objects."""
    return dataclasses.replace(RECORD, unready=unready(seen_as(*manifests).here))


def made(kind, name, *, ready, **spec):
    status = READY if ready else {"conditions": [{"type": "Ready", "status": "False", "message": "full"}]}
    return {**resource(kind, name, spec), "status": status}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [True, False])
def test_an_object_is_compared_with_itself_before_the_move(kind, before):
    record = record_of(made(kind, "a", ready=before))
    here = seen_as(made(kind, "a", ready=False), made(kind, "b", ready=True)).here
    sentence = (f"{kind.lower()} a: full",)
    assert as_before(here, record) == (sentence if before else ())
    assert unready_as_before(here, record) == (() if before else sentence)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_since_the_move_began_is_waited_for_nowhere(kind):
    record = record_of(made(kind, "b", ready=False))
    new, old = made(kind, "a", ready=False), made(kind, "b", ready=False)
    new["metadata"]["creationTimestamp"] = "2026-06-01T00:00:01Z"
    here = seen_as(new, old, made(kind, "c", ready=False)).here
    known = excusing(here, record)
    assert as_before(here, known) == (f"{kind.lower()} c: full",)
    assert unready_since(here, record) == unready_since(here, known) == (f"{kind.lower()} a: full",)
    assert unready_as_before(here, known) == unready_as_before(here, record) == (f"{kind.lower()} b: full",)
    assert excusing(seen_as().here, known).unready == known.unready  # it may be deleted again


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [True, False])
def test_what_was_deleted_and_made_anew_during_the_move_is_waited_for_if_it_answered_before(kind, before):
    """Callers ask for it by a name that answered; its uid and its time are others."""
    was = made(kind, "a", ready=before)
    record = dataclasses.replace(record_of(was), known=object_digests(seen_as(was).here))
    anew, new = made(kind, "a", ready=False), made(kind, "b", ready=False)
    for each in (anew, new):
        each["metadata"] |= {"creationTimestamp": "2026-06-01T00:00:01Z", "uid": "another"}
    here = seen_as(anew, new).here
    known = excusing(here, record)
    sentence = (f"{kind.lower()} a: full",)
    assert as_before(here, known) == (sentence if before else ())
    assert unready_since(here, record) == unready_since(here, known) == (f"{kind.lower()} b: full",)
    assert unready_as_before(here, known) == (() if before else sentence)


def test_an_object_of_before_is_known_whatever_the_clocks_say():
    """The time of its creation is the API's, that of the beginning of the move another machine's."""
    was = made("Model", "a", ready=True)
    record = dataclasses.replace(record_of(was), known=object_digests(seen_as(was).here))
    now = made("Model", "a", ready=False)
    now["metadata"]["creationTimestamp"] = "2026-06-01T00:00:01Z"
    assert as_before(seen_as(now).here, excusing(seen_as(now).here, record)) == ("model a: full",)


def test_a_record_knows_thousands_of_objects_in_little_room():
    many = [made("Model", f"a-model-with-a-long-name-{number}", ready=True) for number in range(10_000)]
    here = seen_as(*many).here
    record = dataclasses.replace(RECORD, known=object_digests(here))
    assert len(record.text()) < 100_000
    assert read_record(record.manifest()) == record
    assert excusing(here, record) == record


def test_a_model_is_waited_for_that_pods_of_before_may_answer_for_until_they_end():
    record = dataclasses.replace(RECORD, placed={"a": "mlserver"})
    anew = made("Model", "a", ready=False)
    anew["metadata"]["creationTimestamp"] = "2026-06-02T00:00:00Z"
    here = seen_as(anew).here
    assert as_before(here, excusing(here, record)) == ("model a: full",)


ROUTES = {
    "a Model": (made("Model", "a", ready=False), {"a"}),
    "a Pipeline": (made("Pipeline", "a", ready=False), {"a.pipeline"}),
    "an Experiment": (made("Experiment", "a", ready=False), {"a.experiment"}),
    "an Experiment with a default": (
        made("Experiment", "a", ready=False, default="b"),
        {"a.experiment", "b"},
    ),
    "one over Pipelines": (
        made("Experiment", "a", ready=False, default="b", resourceType="pipeline"),
        {"a.experiment", "b.pipeline"},
    ),
    "a Server, which has no name that callers ask for": (made("Server", "a", ready=False), set()),
}


@pytest.mark.parametrize(("manifest", "names"), ROUTES.values(), ids=ROUTES.keys())
def test_the_names_by_which_callers_ask_for_what_was_not_ready(manifest, names):
    assert silent_names(seen_as(manifest).here, record_of(manifest)) == names
    answered = {**manifest, "status": READY}
    assert silent_names(seen_as(answered).here, record_of(answered)) == set()


def test_an_experiment_that_was_deleted_since_has_its_own_name_alone():
    record = record_of(made("Experiment", "a", ready=False, default="b"))
    assert silent_names(seen_as().here, record) == {"a.experiment"}


def doctors(**things):
    """The doctor's facts of a namespace in which a scheduler leads and no agent is connected."""
    term = Term(leader="one", fresh=True, told=True, published=1, acknowledged=1)
    runtime = Thing(name="seldon", ready=True)
    seen = NamespaceFacts(name=TEAM, home=HOME, runtimes=(runtime,), term=term, **things)
    return Facts(server="https://api", namespaces=(seen,))


def errors(facts):
    return [each.message for each in examine(facts) if each.level is Level.ERROR and each.namespace == TEAM]


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_finds_no_error_in_what_was_not_ready_before(kind):
    things = {f"{kind.lower()}s": tuple(Thing(name=name, ready=False, replicas=2) for name in "abcde")}
    untouched = errors(doctors(**things))
    assert f"{kind} {TEAM}/a is not ready: its controller has not reported on it yet" in untouched
    assert f"2 more {kind}s of {TEAM} are not ready" in untouched
    before = record_of(*(made(kind, name, ready=False) for name in "abcde"))
    claims = errors(doctors())
    assert errors(excused(doctors(**things), before)) == claims
    four = record_of(*(made(kind, name, ready=name == "e") for name in "abcde"))
    found = [each for each in errors(excused(doctors(**things), four)) if each not in claims]
    assert found[-1] == f"{kind} {TEAM}/e is not ready: its controller has not reported on it yet"


def test_facts_that_could_not_be_read_stay_unknown():
    hidden = Unknown("forbidden")
    facts = doctors(servers=hidden, models=hidden, pipelines=hidden, experiments=hidden)
    assert excused(facts, record_of(made("Model", "a", ready=False))) == facts
