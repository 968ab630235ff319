"""The entry point. Processes of pods bypass the command-line library, which would cost them memory.

`bailie operator|scheduler|agent|envoy|apiserver` are started by pod templates and take their settings from
the environment (the API from arguments); everything else is for people and goes through typer.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs `bailie`."""
    from bailie.cli import processes

    arguments = sys.argv[1:]
    if arguments and arguments[0] in processes.PROCESSES and "--help" not in arguments:
        sys.exit(processes.run(arguments[0], arguments[1:]))
    from bailie.cli.app import app

    app()
