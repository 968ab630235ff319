"""Which test process gets which file, where several processes share the tests.

Used by `tests/conftest.py`. Slow tests mostly wait for what they started, and quick ones compute. So a few
processes do the quick files from the beginning, with what the others leave of the processors. Each process
that takes files of `tests/e2e` starts a `bailie up` for them: few processes do. A process takes
other files when none of its own is left, but for those of `tests/e2e`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from collections.abc import Callable

    from xdist.remote import Producer

STACKS = 2
"""Processes that take files of `tests/e2e`."""
QUICK = 1
"""Processes, the last ones, that take quick files first."""
MANY = STACKS + QUICK + 1
"""As many processes keep quick files apart, and more."""
_PRIORITY = 2
"""Of the processes that take quick files: low, and not so low that a deadline of a test passes."""
_END_TO_END = "tests/e2e/"
_TOGETHER = {
    "tests/prose/": ("tests/prose/",),
    "tests/agent/test_run.py": (
        "tests/agent/test_run.py",
        "tests/agent/test_runtimes.py",
        "tests/agent/test_server.py",
        "tests/agent/waiting/test_listeners.py",
    ),
    "tests/mlserver/test_bailie_models.py": (
        "tests/mlserver/",
        "tests/client/test_clients.py",
        "tests/gateway/test_clients.py",
    ),
}
"""Files that go to one process, by the file that has the group's place in the order. They read the same
documents, or ask the same MLServer, which takes seconds of processor time in each process anew."""


def give_way(worker: str, count: int) -> None:
    """Lowers the priority of this process if it is one that takes quick files first.

    `worker`: its name by xdist, `gw0` and so on. `count`: of processes.
    """
    if _is_for_quick_files(_place(worker), count):
        os.nice(_PRIORITY)


def import_share(worker: str, count: int, config: pytest.Config) -> None:
    """Imports some of the test files before all are collected: another part in each process.

    On a new machine each file is compiled first, its assertions rewritten; where all processes begin with the
    same file, all of them do that. A file that fails does so again when it is collected, and is told then.
    """
    root = config.rootpath
    left_out = {root / each for each in config.getoption("ignore") or ()}
    files = {
        file
        for given in config.args
        for file in ([root / given] if given.endswith(".py") else (root / given).rglob("test_*.py"))
        if left_out.isdisjoint((file, *file.parents))
    }
    for file in sorted(files)[_place(worker) :: count]:
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def _place(worker: str) -> int:
    return int(worker.removeprefix("gw"))


def _is_for_quick_files(place: int, count: int) -> bool:
    return count >= MANY and place >= count - QUICK


class FileScheduling(LoadFileScheduling):
    """Gives each file to the next free process that may take it, in the order of the collection.

    `is_slow` tells of a file, by its path below the root of the repository, whether it waits or takes long.
    """

    def __init__(self, config: pytest.Config, log: Producer, is_slow: Callable[[str], bool]) -> None:
        super().__init__(config, log)
        self._is_slow = is_slow

    def _split_scope(self, nodeid):
        groups = (name for name, files in _TOGETHER.items() if nodeid.startswith(files))
        return next(groups, super()._split_scope(nodeid))

    def _assign_work_unit(self, node):
        file = self._next_for(node)
        if file is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)

    def _next_for(self, node):
        """Returns the next file for a process, None where the files that are left are for other processes."""
        place = _place(node.gateway.id)
        if _is_for_quick_files(place, self.numnodes):
            quick = next((file for file in self.workqueue if not self._is_slow(file)), None)
            if quick is not None:
                return quick
        takes_stacks = place < STACKS
        wanted = (file for file in self.workqueue if file.startswith(_END_TO_END) is takes_stacks)
        left = iter(self.workqueue) if takes_stacks else iter(())
        return next(wanted, next(left, None))
