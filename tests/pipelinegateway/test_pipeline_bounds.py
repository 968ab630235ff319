"""Short forms of `python -m benchmarks pipeline-bounds`, without its times, which need a quiet machine."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.gateway_kill import kill
from benchmarks.pipeline_bounds import large, sides


async def test_a_killed_gateway_is_told_and_no_model_is_asked_twice(tmp_path):
    outcome = await kill(tmp_path, 2.0)
    assert outcome.wrong() == []
    assert outcome.in_flight > 0
    assert len(outcome.requests) == 200


async def test_side_branches_that_do_harm_change_no_answer(tmp_path):
    found = Figures()
    await sides(tmp_path, found, 0.6, rounds=2)
    assert [each for each in found.missed if "changed answers" in each] == []
    assert sum("changed answers: 0" in line for line in found.lines) == 3


async def test_large_requests_leave_the_memory_as_it_was(tmp_path):
    found = Figures()
    await large(tmp_path, found, 0.5, requests=500, warm_up=0.5)
    assert [each for each in found.missed if "processor time" not in each] == []
    assert len(found.lines) == 3
