"""Logs of containers whose programs write without end."""

import errno
import os

import pytest

from bailie.workloads.node import logs

MOST = 100


@pytest.fixture
def log(tmp_path):
    return tmp_path / "main.log"


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "main.1.log"


def test_a_small_log_stays(log, kept):
    log.write_text("fine\n")
    assert not logs.rotate(log, MOST)
    assert not logs.rotate(log.with_name("none.log"), MOST)
    assert (log.read_text(), kept.exists()) == ("fine\n", False)


def test_of_a_long_log_the_end_is_kept_and_its_writer_goes_on_at_the_start(log, kept):
    with log.open("a") as writer:
        for _ in range(3):
            writer.write("x" * 10 * MOST + "the end\n")
            writer.flush()
            assert logs.rotate(log, MOST)
            assert kept.read_text() == "x" * (MOST - 8) + "the end\n"
            assert log.stat().st_size == 0
    assert kept.stat().st_mode & 0o077 == 0


def test_a_log_that_its_program_makes_a_terabyte_costs_what_others_cost(log, kept):
    log.write_text("begun\n")
    os.truncate(log, 1 << 40)
    assert logs.rotate(log, MOST)
    assert kept.read_bytes() == bytes(MOST)
    assert log.stat().st_size == 0


def test_a_log_whose_end_cannot_be_kept_is_emptied_all_the_same(log, kept):
    log.write_text("x" * 10 * MOST)
    kept.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as full:
        logs.rotate(log, MOST)
    assert full.value.errno == errno.ENOSPC
    assert log.stat().st_size == 0
