"""The journal's thread before a broker that takes its time, which the client library plays itself."""

from __future__ import annotations

import time
from contextlib import contextmanager

from tests.support.waiting import until_blocking

from bailie.kafka.journal import Journal, JournalLimits, UnwrittenRecord
from bailie.kafka.settings import KafkaSettings

ROUND_TRIP = 0.2


@contextmanager
def journal(limits=None, **common):
    common = {
        "bootstrap.servers": "played",
        "test.mock.num.brokers": "1",
        "test.mock.broker.rtt": f"{ROUND_TRIP * 1000:.0f}",
        **common,
    }
    found = Journal(KafkaSettings(common=common), "gateway-0", limits or JournalLimits(), lambda _: 1_000_000)
    try:
        yield found
    finally:
        found.close(1)


def record(value=b"value", headers=()):
    return UnwrittenRecord("seldon.ns.pipeline.p.inputs", 0, b"key", headers, lambda: value, len(value))


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


def test_a_caller_does_not_wait_for_the_acknowledgement_of_another():
    encoded, heard = [], []

    def encode():
        encoded.append(time.monotonic())
        return b"value"

    awaited = record()._replace(encode=encode)
    with journal(**{"test.mock.broker.rtt": "10000"}) as found:
        found.put((awaited,), heard.append)
        until_blocking(lambda: encoded)
        found.put((awaited,), heard.append)
        until_blocking(lambda: len(encoded) == 2)
        assert encoded[1] - encoded[0] < 0.5
        assert heard == []


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


def test_headers_that_wait_for_the_broker_are_bounded():
    lost, large = [], record(headers=(("x-large", b"a" * 50_000),))
    with journal(JournalLimits(size=1 << 20), **{"test.mock.broker.rtt": "10000"}) as found:
        for _ in range(100):
            found.put((large,), lost.append)
        until_blocking(lambda: len(lost) >= 80)
        assert len(lost) == 80
        assert set(lost[-1:]) <= {
            "no room for it until the broker acknowledges others",
            "no room for it before it was written",
        }


def test_the_room_of_headers_is_there_again_after_the_acknowledgement():
    heard = []
    with journal() as found:
        found.put((record(headers=(("x-a", b"a" * 1_000),)),), heard.append)
        until_blocking(lambda: heard)
        assert heard == [""]
        assert found._heads == 0


def test_errors_of_a_broker_that_is_away_are_no_records_that_wait():
    """Each attempt to connect gives the library an error to tell, until its queue is looked at again."""
    seen = set()
    dead = {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.ms": "1", "reconnect.backoff.max.ms": "5"}
    settings = KafkaSettings(common=dead)
    found = Journal(settings, "gateway-0", JournalLimits(), lambda _: 1_000_000)
    found.put((record(),) * 3)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        seen.add(found.waiting)
        time.sleep(0.001)
    found.close(0)
    assert seen == {3}
