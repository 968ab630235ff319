"""The file of a benchmark's results, beside the lines that people read.

Used by the benchmarks that have the option `--json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_json(parser: ArgumentParser) -> None:
    """Adds the option `--json`."""
    parser.add_argument("--json", type=Path, help="write the results here too")


def keep(options: Namespace, results: Any) -> None:
    """Writes the results, JSON data, where the option names a file. Raises OSError."""
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
