"""Objects are looked at by one full collection, and later garbage once there are twice as many objects."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from bailie.kube.garbage import Survivors


@pytest.fixture
def survivors():
    found = Survivors()
    gc.callbacks.append(found)
    yield found
    gc.callbacks.remove(found)


def test_survivors_of_a_full_collection_are_not_looked_at_again(survivors):
    before = gc.get_freeze_count()
    many = [[] for _ in range(50_000)]
    gc.collect()
    assert gc.get_freeze_count() - before >= len(many)
    assert len(gc.get_objects()) < len(many)


LATER = """
import gc, weakref
from bailie.kube.garbage import LOOKS, Survivors

class Part:
    def __init__(self):
        self.whole = self

gc.callbacks.append(Survivors())
part = Part()
seen = weakref.ref(part)
gc.collect()
del part
gc.collect()
assert seen() is not None
more = [[] for _ in range(2 * gc.get_freeze_count())]
for _ in range(LOOKS):
    gc.collect()
assert seen() is None
assert gc.get_freeze_count() >= len(more) > 0, "what lives is not looked at again"
"""
"""Parts point at themselves, as the parts of an engine point at each other."""


def test_later_garbage_is_found_once_there_are_twice_as_many_objects():
    """In a process of its own: to have twice as many objects as all tests takes seconds."""
    done = subprocess.run(
        [sys.executable, "-c", LATER], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
