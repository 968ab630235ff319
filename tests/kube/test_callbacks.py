"""Functions that are called back, of which some raise."""

from __future__ import annotations

import structlog

from bailie.kube.callbacks import Callbacks


def broken(*_):
    raise ZeroDivisionError("a mistake of our own")


def test_one_that_raises_keeps_no_other_from_its_call():
    heard = []
    tell = Callbacks[[str]]("news", [broken, heard.append], about=lambda word: word.upper())
    end = tell.add(lambda word: heard.append(f"later {word}"))
    with structlog.testing.capture_logs() as logs:
        tell("a")
        end()
        tell("b")
    assert heard == ["a", "later a", "b"]
    assert [(each["event"], each["news"], each["callback"], each["about"]) for each in logs] == [
        ("callback failed", "news", "broken", about) for about in "AB"
    ]


def test_one_that_raises_each_time_does_not_fill_the_log():
    tell = Callbacks[[]]("news", [broken])
    with structlog.testing.capture_logs() as logs:
        for _ in range(1_000):
            tell()
    assert 0 < len(logs) < 20


def test_one_may_take_itself_out():
    heard = []
    tell = Callbacks[[]]("news")

    def once():
        heard.append("once")
        end()

    end = tell.add(once)
    tell.add(lambda: heard.append("next"))
    tell()
    tell()
    assert heard == ["once", "next", "next"]
