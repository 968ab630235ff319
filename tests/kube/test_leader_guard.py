from __future__ import annotations

import pytest

from bailie.kube.errors import Withheld
from bailie.kube.leader_guard import LeaderGuard


def test_a_leader_may_write_anywhere_and_hears_of_refusals():
    heard = []
    guard = LeaderGuard(lambda: True, heard.append)
    guard.check(None)
    guard.refused("a")
    assert heard == ["a"]
    with pytest.raises(Withheld, match="not written in a: this process does not lead any more"):
        LeaderGuard(lambda: False, heard.append).check("a")
