"""Runs commands of `bailie` and `seldon` in this process, as typer's own runner does.

result = CommandRunner().invoke(app, ["status"])
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import typer.main
from typer.testing import CliRunner, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOVES = (
    ("plan",),
    ("apply", "--yes"),
    ("verify", "--timeout", "0"),
    ("rollback", "--yes"),
    ("finish", "--yes"),
)
"""The commands of `bailie migrate`, each with the options by which it asks nobody and does not wait."""

_built = functools.cache(typer.main.get_command)


class CommandRunner(CliRunner):
    """Builds each program once. Typer's runner reads the signatures of all commands for each call, which
    takes longer than most commands do."""

    def invoke(  # type: ignore[override]
        self,
        app: typer.Typer,
        args: Sequence[str],
        input: bytes | str | None = None,  # noqa: A002 - as in the base
        env: Mapping[str, str | None] | None = None,
    ) -> Result:
        command, exception, code = _built(app), None, 0
        with self.isolation(input=input, env=env) as streams:
            try:
                command.main(args=list(args), prog_name=self.get_default_prog_name(command))
            except SystemExit as error:
                exception, code = (error if error.code else None), error.code or 0
            except Exception as error:
                exception, code = error, 1
            sys.stdout.flush()
            sys.stderr.flush()
            stdout, stderr, output = (stream.getvalue() for stream in streams)
        return Result(
            runner=self,
            stdout_bytes=stdout,
            stderr_bytes=stderr,
            output_bytes=output,
            return_value=None,
            exit_code=code,
            exception=exception,
        )
