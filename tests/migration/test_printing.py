"""The lines for a shell say what the executor would write, in the same order."""

from __future__ import annotations

import pytest
from tests.support.moves import PLACES, CentralNamespace

from bailie.api.kinds import CONFIG_MAP
from bailie.migration.central_steps import CENTRAL_STEPS
from bailie.migration.printing import printed
from bailie.migration.source import MoveSource

KINDS = [{}, {"rights": False}, {"hand_made": True}, {"others": ("other",)}]
STEPS = [step for step in CENTRAL_STEPS if not step.no_return]


def commands(there):
    """The lines for the writes that were made, but for those of the record."""
    return [change.command() for change in there.writes if change.kind is not CONFIG_MAP]


@pytest.mark.parametrize("options", KINDS, ids=str)
async def test_the_lines_are_those_of_the_writes_there_and_back(options):
    there = CentralNamespace(**options)
    executor = there.executor()
    record = await executor.begin(MoveSource.BAILIE_CENTRAL, PLACES)
    text = printed(STEPS, await there.look(PLACES), record, "apply")
    assert there.writes == []
    await executor.apply(record)
    positions = [text.index(command) for command in commands(there)]
    assert positions == sorted(positions)
    assert text.count("kubectl patch") + text.count("kubectl delete") + text.count("kubectl create") == len(
        positions
    )
    text = printed(STEPS[::-1], await there.look(PLACES), record, "rollback")
    there.writes.clear()
    await executor.rollback(record)
    positions = [text.index(command) for command in commands(there)]
    assert positions == sorted(positions)


async def test_steps_without_a_write_say_so():
    there = CentralNamespace()
    record = await there.executor().begin(MoveSource.BAILIE_CENTRAL, PLACES)
    lines = printed(STEPS, await there.look(PLACES), record, "apply").splitlines()
    assert lines[0] == "# rights: give a scheduler of the namespace's own its account and its rights"
    assert lines[1] == "# nothing to do"
    assert "# wait until the namespace's scheduler leads, and every Envoy has its routes" in lines
