"""How the messages of agents are read."""

from __future__ import annotations

import pytest
from tests.support.agents import hello, report

from bailie._gen import agent_pb2 as pb
from bailie.scheduler.agents.messages import Pace, hello_of, message_of
from bailie.scheduler.agents.session import AgentRefused


class Clock:
    """Turned by the test, in seconds."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("cost", [0.003, 0.05, 1.0])
def test_the_messages_of_a_session_take_a_tenth_of_the_loop_at_most(cost):
    clock, spent = Clock(), 0.0
    pace = Pace(clock)
    while clock.now < 600:
        spent += cost
        clock.now += cost
        clock.now += pace.rest(cost)
    assert spent == pytest.approx(clock.now / 10, rel=0.1)


def test_some_thousand_usual_messages_do_not_wait_and_then_two_thousand_a_second_come():
    pace = Pace(Clock())
    assert sum(pace.rest(0.00005) for _ in range(19_000)) == 0
    assert [pace.rest(0.0) for _ in range(3_001)][-1] == pytest.approx(1.0, rel=0.01)


def test_a_message_is_read_after_the_hello_and_a_hello_before():
    first, later = pb.AgentMessage(hello=hello()), pb.AgentMessage(report=report())
    assert hello_of(first.SerializeToString()).words == hello()
    assert message_of(later.SerializeToString()) == later
    assert message_of(None) is None
    for data in (later.SerializeToString(), b"", None):
        with pytest.raises(AgentRefused, match="a session begins with a hello"):
            hello_of(data)
