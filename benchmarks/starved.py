"""Hardly any processor: a cgroup with a quota, and processes that burn what there is.

Called by the benchmarks. Needs root, and a cgroup file system that may be written to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds; the quota is a part of them, as Kubernetes sets it for a limit."""


@contextmanager
def quota(processors: float, name: str) -> Iterator[Path]:
    """Yields the file that takes pids into a cgroup with that many processors.

    OSError where none can be made.
    """
    unified = (_ROOT / "cgroup.controllers").exists()
    folder = (_ROOT if unified else _ROOT / "cpu") / f"bailie-{os.getpid()}-{name}"
    if unified:
        (_ROOT / "cgroup.subtree_control").write_text("+cpu")
    folder.mkdir()
    try:
        share = int(_PERIOD * processors)
        if unified:
            (folder / "cpu.max").write_text(f"{share} {_PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(share))
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


@contextmanager
def burners(count: int) -> Iterator[None]:
    """Keeps so many processes busy until the block ends."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
