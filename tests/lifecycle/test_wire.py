"""The states and signatures of copies in the agents' protocol: each state of an agent has a number."""

from __future__ import annotations

import pytest

from bailie._gen import agent_pb2 as pb
from bailie.lifecycle.copies import AGENT_TRANSITIONS, CopyState
from bailie.lifecycle.signature import Signature, TensorMetadata
from bailie.lifecycle.wire import (
    detail_bytes,
    from_wire,
    signature_from_wire,
    signature_to_wire,
    to_wire,
    without_details,
)


def test_every_state_of_an_agent_has_a_number_and_comes_back():
    reported = set(AGENT_TRANSITIONS) - {CopyState.ABSENT}
    assert {from_wire(to_wire(state)) for state in reported} == reported
    assert {to_wire(state) for state in reported} == set(pb.ModelState.values()) - {
        pb.MODEL_STATE_UNSPECIFIED
    }


def test_a_copy_of_which_nothing_is_there_is_reported_without_a_state():
    assert to_wire(CopyState.ABSENT) == pb.MODEL_STATE_UNSPECIFIED


def test_a_number_of_a_newer_protocol_is_no_state():
    assert from_wire(pb.MODEL_STATE_UNSPECIFIED) is None
    assert from_wire(999) is None


@pytest.mark.parametrize(
    "state", [CopyState.REQUESTED, CopyState.EVICT_REQUESTED, CopyState.UNLOAD_REQUESTED]
)
def test_the_schedulers_own_states_are_never_sent(state):
    with pytest.raises(KeyError):
        to_wire(state)


INPUT = TensorMetadata("x", "FP32", (-1, 4))


@pytest.mark.parametrize("signature", [Signature((INPUT,)), Signature((INPUT,), (INPUT, INPUT))])
def test_a_signature_comes_back(signature):
    assert signature_from_wire(signature_to_wire(signature)) == signature


@pytest.mark.parametrize(
    "signature",
    [None, Signature(), Signature((INPUT,) * 65), Signature((TensorMetadata("x", "FP32", (2**80,)),))],
)
def test_a_signature_beyond_the_bounds_is_not_sent(signature):
    assert signature_to_wire(signature) is None


def test_a_signature_of_a_hostile_agent_is_none():
    long = pb.TensorMetadata(name="x" * 1000, datatype="FP32")
    deep = pb.TensorMetadata(name="x", shape=[1] * 100_000)
    large = pb.TensorMetadata(name="x", shape=[2**62])
    for side in ([long], [deep], [large], [pb.TensorMetadata()] * 100_000, []):
        assert signature_from_wire(pb.ModelSignature(inputs=side)) is None


def test_replicas_share_the_names_and_shapes_of_a_signature():
    message = signature_to_wire(Signature((TensorMetadata("a column", "FP32", (-1, 4)),))).SerializeToString()
    one, two = (signature_from_wire(pb.ModelSignature.FromString(message)).inputs[0] for _ in range(2))
    assert one == two
    assert one.name is two.name
    assert one.datatype is two.datatype
    assert one.shape is two.shape


def test_signature_and_words_of_a_report_are_its_details_and_may_be_left_out():
    plain = pb.ModelReport(
        version=pb.ModelVersion(name="m", identity="i", number=3), state=pb.MODEL_STATE_LOADED, workers=2
    )
    assert (detail_bytes(plain), without_details(plain)) == (0, plain)
    whole = pb.ModelReport()
    whole.CopyFrom(plain)
    signature = signature_to_wire(Signature((INPUT,), ()))
    journal = pb.Journal(kept=True, words="w" * 10)
    whole.MergeFrom(
        pb.ModelReport(
            message="\N{BULLET}" * 10,
            artifact_path="p",
            ignored=["ab", "c"],
            signature=signature,
            journal=journal,
        )
    )
    assert detail_bytes(whole) == 30 + 1 + 3 + signature.ByteSize() + journal.ByteSize()
    assert without_details(whole) == plain
    assert whole.message, "the report itself stays as it was"
