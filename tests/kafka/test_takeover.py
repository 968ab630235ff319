"""The records of a gateway that is killed for good, before a broker that takes its partitions away."""

from __future__ import annotations

from tests.kafka.takeover import takeover
from tests.support.broker import Tansu, running_broker


def test_another_gateway_runs_the_records_of_one_that_was_killed_and_each_once(tmp_path):
    with running_broker(tmp_path, Tansu) as broker:
        _, answered, written = takeover(broker, "ns")
    assert sorted(answered, key=int) == sorted(written, key=int)
