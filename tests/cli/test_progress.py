"""What a wait shows: which parts are done, which are waited for, and since when."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from bailie.cli.progress import AwaitedPart, AwaitedParts, Progress, picture


def looked(*looks):
    """The parts after looks, one a second, each a list of texts."""
    parts = AwaitedParts()
    for now, texts in enumerate(looks):
        parts = parts.updated(texts, float(now))
    return parts


def test_a_part_keeps_the_time_since_when_it_is_waited_for():
    parts = looked(["pod a: starting"], ["pod a: not ready", "pod b"])
    assert parts.waiting == (AwaitedPart("pod a", "not ready", 0.0), AwaitedPart("pod b", "", 1.0))
    assert parts.waiting[0].seconds(5.0) == 5.0


def test_a_part_that_is_not_named_any_more_is_done():
    parts = looked(["a: x", "b: y"], ["b: y"], [])
    assert [(part.name, part.seconds(99.0)) for part in parts.done] == [("a", 1.0), ("b", 2.0)]
    assert parts.waiting == ()


def test_a_part_that_is_lost_again_is_waited_for_again():
    parts = looked(["a"], [], ["a"])
    assert [part.since for part in parts.waiting] == [2.0]
    assert len(parts.done) == 1


def test_where_no_terminal_is_each_change_is_a_line(capsys):
    with Progress() as progress:
        for texts in (["a: x", "b: y"], ["a: x", "b: y"], ["b: y"], []):
            progress(texts)
    out, err = capsys.readouterr()
    lines = [line.partition(" (0.")[0] for line in err.splitlines()]
    assert (out, lines) == (
        "",
        ["waiting for a: x (and 1 more)", "ready: a", "waiting for b: y", "ready: b"],
    )


def test_nothing_is_shown_where_nothing_shall_be(capsys):
    with Progress(shown=False) as progress:
        progress(["a: x"])
        progress([])
    assert capsys.readouterr() == ("", "")


def test_the_picture_has_the_last_parts_that_are_done_and_the_first_that_are_waited_for():
    many = [f"part {number}: why {number}" for number in range(20)]
    console = Console(width=100)
    with console.capture() as shown:
        console.print(picture(looked(many, many[9:]), 3.0))
    lines = shown.get().splitlines()
    assert [line.split()[0] for line in lines] == ["ready"] * 5 + ["waiting"] * 8 + ["and"]
    assert lines[5].split() == ["waiting", "part", "9", "why", "9", "3.0", "s"]
    assert lines[-1].strip() == "and 3 more"


SCRIPT = """
from bailie.cli.progress import Progress
with Progress() as progress:
    progress(["the API: starting"])
    progress([])
"""


LOGGING = """
import structlog
from bailie.cli.logging import set_up_logging
from bailie.cli.progress import Progress
set_up_logging("info")
log = structlog.get_logger()
with Progress() as progress:
    progress(["the API: starting"])
    log.info("while it is drawn")
log.info("after it")
"""


def on_a_terminal(script=SCRIPT, **variables):
    """What the script writes on a terminal."""
    ours, theirs = pty.openpty()
    environment = {"PATH": "", "TERM": "xterm", **variables}
    subprocess.run([sys.executable, "-c", script], stderr=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    found = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not piece:
            break
        found += piece
    os.close(ours)
    return found.decode()


def test_on_a_terminal_the_picture_is_drawn_in_place():
    shown = on_a_terminal()
    assert "the API" in shown
    assert "\x1b[2K" in shown, "lines are drawn again"
    assert "\x1b[32m" in shown or "\x1b[33m" in shown


def test_colours_can_be_left_out():
    shown = on_a_terminal(NO_COLOR="1")
    assert "the API" in shown
    assert "\x1b[32m" not in shown
    assert "\x1b[33m" not in shown


def test_a_terminal_that_cannot_be_drawn_on_gets_lines():
    assert on_a_terminal(TERM="dumb").startswith("waiting for the API: starting")


def test_log_lines_go_above_the_picture():
    shown = on_a_terminal(LOGGING, NO_COLOR="1")
    first, last = shown.index("while it is drawn"), shown.rindex("the API")
    assert first < last < shown.index("after it")
    assert shown.count("while it is drawn") == shown.count("after it") == 1


FULL = """
import logging, sys
import structlog
from bailie.cli.logging import set_up_logging
from bailie.cli.output import say
from bailie.cli.progress import Progress
set_up_logging("info")
for number in range(2_000):
    structlog.get_logger().info("line", number=number)
logging.getLogger("library").warning("a line of a library's")
with Progress() as progress:
    progress(["the API: starting"])
say("words")
print("alive")
"""


def test_no_process_ends_because_its_log_cannot_be_written():
    """On a laptop the logs of pods and of `bailie up --detach` are files, and the disk may be full."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", FULL],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stdout == "alive\n"
