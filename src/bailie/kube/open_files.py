"""The limit of open files of this process: where a system gives 1,024, callers who only connect use them up.

Services raise it at their start, before they listen.
"""

from __future__ import annotations

import resource
import sys


def allow_open_files() -> int:
    """Raises the limit as far as this process may; returns how many files may be open then."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def part_of_files(share: int, most: int) -> int:
    """Returns how many of the files that this process may open are one of `share` parts, `most` at most."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, files // share)
