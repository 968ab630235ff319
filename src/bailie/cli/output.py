"""The output of commands: data on stdout, words for people on stderr, and how a failure ends the process."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager, suppress
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from bailie.api.texts import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from bailie.kube.errors import ApiError


class Output(StrEnum):
    """How a command shows its result."""

    TEXT = "text"
    JSON = "json"


WIDE = 400
"""Columns of a table that a program reads, so that no cell is folded."""


_OTHER_SERVER = "CERTIFICATE_VERIFY_FAILED"
"""In the words of OpenSSL about a server that is not that of the kubeconfig."""


class ExitCode(IntEnum):
    """Exit codes, the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_READY = 4
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.DONE: "done, and nothing is wrong",
    ExitCode.FAILED: "failed: refused, no answer, nothing runs; `doctor` found an error, `check` an effect,"
    " `migrate plan` a blocker",
    ExitCode.USAGE: "an argument cannot be used (an option, a name, a file); nothing was sent",
    ExitCode.NOT_FOUND: "a named object does not exist",
    ExitCode.NOT_READY: "not ready: what `status` shows, or what `up` and `--wait` waited for",
    ExitCode.INTERRUPTED: "interrupted",
}
"""For `bailie --help` and the reference."""


def print_json(value: Any) -> None:
    """Prints a value as indented JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def console(columns: int = WIDE) -> Console:
    """Returns a rich console on stdout; where that is no terminal, it is `columns` wide."""
    from bailie.cli.plain_console import PlainConsole

    return PlainConsole(highlight=False, width=None if sys.stdout.isatty() else columns)


def write(line: str) -> None:
    """Prints a line of the result for people, on stdout."""
    sys.stdout.write(printable(line) + "\n")


def say(message: str) -> None:
    """Prints a line for the person at the terminal, on stderr, if that can be written."""
    with suppress(OSError):
        sys.stderr.write(printable(message) + "\n")
        sys.stderr.flush()


def fail(message: str, *, hint: str = "", code: int = ExitCode.FAILED) -> NoReturn:
    """Ends the command with one sentence, what to do about it, and an exit code."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    raise typer.Exit(code)


def _absent(message: str) -> str:
    """Returns what to do where an API's sentence is that an object is not there; else nothing."""
    found = re.fullmatch(r'([a-z]+)[a-z.]* "([^"]+)" not found', message)
    if not found:
        return ""
    plural, name = found[1], found[2]
    if plural == "namespaces":
        return f"`bailie scope add {name}` on a laptop, else `kubectl create namespace {name}`"
    return f"`bailie get {plural}` lists those that are there; -n names another namespace, -A means all"


def way_on(error: ApiError) -> tuple[str, int]:
    """Returns what to do about an answer of the API, empty where nobody can say, and the exit code."""
    from bailie.kube.errors import Forbidden, NotFound, Unauthorized, Unconfigured, Unreachable

    if isinstance(error, NotFound):
        return _absent(str(error)), ExitCode.NOT_FOUND
    if isinstance(error, Unreachable) and _OTHER_SERVER in str(error):
        hint = "the kubeconfig is of another server, or out of date: name the right one with --kubeconfig"
        return hint, ExitCode.FAILED
    hints = {
        Unconfigured: "start `bailie up`, or name a cluster's with --kubeconfig or KUBECONFIG",
        Unreachable: "is it running? `bailie status`, or name the right one with --kubeconfig",
        Unauthorized: "log in again, or use another kubeconfig",
        Forbidden: "ask for the right, or use a kubeconfig that has it",
    }
    return hints.get(type(error), ""), ExitCode.FAILED


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turns the failures that a user can cause or mend into `fail`; a bug keeps its traceback."""
    from bailie.kube.errors import ApiError
    from bailie.local.errors import DeadlinePassed, LocalError

    try:
        yield
    except DeadlinePassed as error:
        fail(error.message, hint=error.hint, code=ExitCode.NOT_READY)
    except LocalError as error:
        fail(error.message, hint=error.hint)
    except ApiError as error:
        hint, code = way_on(error)
        fail(str(error), hint=hint, code=code)
    except KeyboardInterrupt:
        fail("interrupted", code=ExitCode.INTERRUPTED)
