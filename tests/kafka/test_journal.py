"""The journal's thread before a broker that takes its time, which the client library plays itself."""

from __future__ import annotations

import time
from contextlib import contextmanager

from tests.support.waiting import until_blocking

from bailie.kafka.journal import Journal, JournalLimits, UnwrittenRecord
from bailie.kafka.settings import KafkaSettings

ROUND_TRIP = 0.2


@contextmanager
def journal():
    common = {
        "bootstrap.servers": "played",
        "test.mock.num.brokers": "1",
        "test.mock.broker.rtt": f"{ROUND_TRIP * 1000:.0f}",
    }
    found = Journal(KafkaSettings(common=common), "gateway-0", JournalLimits(), lambda _: 1_000_000)
    try:
        yield found
    finally:
        found.close(5)


def record(value=b"value"):
    return UnwrittenRecord("seldon.ns.pipeline.p.inputs", 0, b"key", (), lambda: value, len(value))


def test_callers_who_wait_at_a_time_share_the_round_trips():
    heard = []
    with journal() as found:
        found.put((record(),), heard.append)
        until_blocking(lambda: heard)
        begun = time.monotonic()
        for _ in range(100):
            found.put((record(),), heard.append)
        until_blocking(lambda: len(heard) == 101)
        assert time.monotonic() - begun < 50 * ROUND_TRIP
        assert set(heard) == {""}


def test_a_mistake_of_who_hears_of_a_record_ends_no_thread():
    def raises(problem):
        raise RuntimeError("a mistake")

    heard = []
    with journal() as found:
        for _ in range(3):
            found.put((record(),), raises)
            found.put((record(),), heard.append)
        until_blocking(lambda: len(heard) == 3)
        found.put((record(),), raises)
        until_blocking(lambda: found.counts.written == 7)
        found.put((record(),), heard.append)
        until_blocking(lambda: len(heard) == 4)
