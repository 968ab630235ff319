"""Which test process gets which file, where several processes share the tests.

Used by `tests/conftest.py`. Tests that compute and tests that wait run at the same time, so that processors
are not idle while the end-to-end tests wait for what they started. Each process that takes files of
`tests/e2e` starts a `bailie up` for them: few processes do, and these take other files when no such file is
left.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

STACKS = 2
"""Processes that take files of `tests/e2e`."""
_END_TO_END = "tests/e2e/"
_TOGETHER = ("tests/prose/",)
"""Folders whose files go to one process, because all of them read the same, which takes seconds."""


class FileScheduling(LoadFileScheduling):
    """Gives each file to the next free process that may take it, in the order of the collection."""

    def _split_scope(self, nodeid):
        folders = (folder for folder in _TOGETHER if nodeid.startswith(folder))
        return next(folders, super()._split_scope(nodeid))

    def _assign_work_unit(self, node):
        file = self._next_for(node)
        if file is None:
            node.shutdown()
            return
        self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)

    def _next_for(self, node):
        """Returns the next file for a process, None where the files that are left are for other processes."""
        takes_stacks = node in self.nodes[:STACKS]
        wanted = [file for file in self.workqueue if file.startswith(_END_TO_END) is takes_stacks]
        left = wanted or (list(self.workqueue) if takes_stacks else [])
        return left[0] if left else None
