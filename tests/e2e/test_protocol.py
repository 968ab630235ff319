"""A holder of one namespace's token sends the scheduler anything; nobody else notices. See benchmarks."""

from benchmarks.protocol_fuzz import play
from tests.support.protocol import Wild, readable


async def test_wild_agents_and_envoys_have_no_effect(tmp_path):
    assert await play(tmp_path, 10.0, 7) == []


def test_a_seed_gives_the_same_messages_of_both_kinds():
    assert Wild(3).agent() == Wild(3).agent()
    firsts = [Wild(seed).agent()[0] for seed in range(200)]
    assert {readable(each) for each in firsts} == {True, False}
