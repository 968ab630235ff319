"""The plans in a file: for this user alone, whole or not at all."""

from __future__ import annotations

import pytest

from bailie.pipelinegateway.plan_file import read_plans, write_plans
from bailie.pipelinegateway.plans import PlanSource

PLANS = [PlanSource("p", 1, {"steps": [{"name": "a"}], "output": None}), PlanSource("q", 22, {})]


def test_plans_come_out_as_they_went_in_and_only_this_user_reads_them(tmp_path):
    path = tmp_path / "plans.json"
    assert read_plans(path) == []
    for plans in (PLANS, PLANS[:1], []):
        write_plans(path, plans)
        assert read_plans(path) == plans
        assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["plans.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"format":2,"plans":[]}', b'{"format":1,"plans":[{}]}']
)
def test_a_file_that_cannot_be_read_is_no_plan(tmp_path, content):
    path = tmp_path / "plans.json"
    path.write_bytes(content)
    assert read_plans(path) == []


def test_a_disk_that_takes_nothing_is_no_end(tmp_path):
    path = tmp_path / "missing" / "plans.json"
    write_plans(path, PLANS)
    assert read_plans(path) == []
