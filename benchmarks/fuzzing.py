"""The command line of the fuzzers: their options, and what came of a run.

Used by `api_fuzz`, `door_fuzz` and `gateway_fuzz`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 20


def options_of(name: str, text: str | None, arguments: Sequence[str]) -> argparse.Namespace:
    """Returns the options of a run: `seconds`, `seed` and `connections`."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=text)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=4)
    return parser.parse_args(arguments)


def conclude(summary: str, failures: Iterable[str]) -> None:
    """Prints what came of a run, the most common failures once each; ends the process with 1 where there are
    some."""
    print(summary)
    counted = Counter(failures)
    for failure, number in counted.most_common(_SHOWN):
        print(f"  {number} times: {failure}")
    if counted:
        sys.exit(1)
