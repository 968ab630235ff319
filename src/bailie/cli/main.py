"""The entry point. Processes of pods bypass the command-line library, which would cost them memory.

`bailie operator|scheduler|agent|envoy|apiserver` are started by pod templates and take their settings from
the environment (the API from arguments); everything else is for people and goes through typer. `seldon` is
upstream's command line over the same functions.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_OF_THE_MACHINE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})
"""Unexpected failures that a person can mend: no right to a file, no room. Other errors are bugs."""
_FAILED, _INTERRUPTED = 1, 130
"""Those of `output.ExitCode`, which is not imported for the processes of pods."""


def main() -> None:
    """Runs `bailie`. A command that is interrupted or killed leaves no traceback."""
    _guarded(_run)


def seldon() -> None:
    """Runs `seldon`, as `bailie` is run."""
    _guarded(_run_seldon)


def _guarded(run: Callable[[list[str]], None]) -> None:
    _open_closed_streams()
    signal.signal(signal.SIGTERM, _end)
    try:
        _explained(run)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _open_closed_streams() -> None:
    """Puts the empty device in the place of each standard stream that was closed by whoever started this.

    Without it the stream is None, and the next file or connection gets its number and what is printed.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - to the end


def _explained(run: Callable[[list[str]], None]) -> None:
    from bailie.settings.reader import SettingsError  # not before an interruption has its exit code

    try:
        run(sys.argv[1:])
    except BrokenPipeError:
        _give_up_output()
        sys.exit(_FAILED)
    except ModuleNotFoundError as error:
        _fail_without_extra(error)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(_FAILED)
    except OSError as error:
        if error.errno == errno.ENOENT and error.filename is None:  # only the search for it names no file
            sys.stderr.write("error: the working folder is gone: change to another one\n")
            sys.exit(_FAILED)
        if error.errno not in _OF_THE_MACHINE:
            raise
        _give_up_output()
        sys.stderr.write(f"error: {error.filename or 'the output'}: {error.strerror}\n")
        sys.exit(_FAILED)


def _end(number: int, _: FrameType | None) -> None:
    """Ends the process at once, until what it has begun needs an orderly end and takes the signal over.

    To process 1 of a container a signal without a handler is no signal, and an exception that is raised in a
    callback of an import is swallowed there.
    """
    os._exit(128 + number)


def _run(arguments: list[str]) -> None:
    from bailie.cli import processes

    if arguments and arguments[0] in processes.PROCESSES and not {"-h", "--help"} & set(arguments):
        sys.exit(processes.run(arguments[0], arguments[1:]))
    _import_structlog()
    from bailie.cli.app import app

    try:
        app()
    finally:
        sys.stdout.flush()


def _run_seldon(arguments: list[str]) -> None:
    _import_structlog()
    from bailie.cli.seldon.app import app, as_typed

    try:
        app(as_typed(arguments), prog_name="seldon")
    finally:
        sys.stdout.flush()


def _import_structlog() -> None:
    """Imports structlog as if rich were not installed: it would load rich for pictures of exceptions, which
    `logging` does not use. Commands that draw load the parts of rich that they need."""
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]


def _fail_without_extra(error: ModuleNotFoundError) -> None:
    """Says which extra has the module that is missing. Raises the error again where none has: it is a bug."""
    from bailie.local.settings import EXTRA_MODULES, INSTALL_EXTRA

    if error.name not in EXTRA_MODULES:
        raise error
    sys.stderr.write(f"error: this command needs {error.name}: {INSTALL_EXTRA}\n")
    sys.exit(_FAILED)


def _give_up_output() -> None:
    """Lets the interpreter's last flush go nowhere, where it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
