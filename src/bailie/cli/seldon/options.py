"""The options that the commands of `seldon` share.

Used by `commands` and `infer`. Upstream's options about its scheduler are taken, and said to have no effect.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir
from bailie.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE_HELP = "A YAML file; `-` is standard input."
File = Annotated[Path, typer.Option("-f", "--file-path", help=_FILE_HELP)]
FileInstead = Annotated[Path | None, typer.Option("-f", "--file-path", help=_FILE_HELP)]
Force = Annotated[bool, typer.Option("--force", help="Accepted without effect: no verb needs force here.")]
SchedulerHost = Annotated[
    str | None,
    typer.Option("--scheduler-host", help="Accepted without effect: the Kubernetes API is asked."),
]
Authority = Annotated[str | None, typer.Option("--authority", help="Accepted without effect.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Accepted without effect.")]
WaitSeconds = Annotated[
    float, typer.Option("-t", "--timeout-secs", min=0, help="Seconds that --wait waits, at most.")
]
ShowRequest = Annotated[bool, typer.Option("-r", "--show-request", help="Print the request, too.")]
ShowResponse = Annotated[
    bool, typer.Option("--show-response/--no-show-response", "-o", help="Print the answer.")
]


@dataclass(frozen=True, slots=True)
class ApiPlace:
    """Which API, and which namespace of it."""

    namespace: str | None
    kubeconfig: Path | None
    state_dir: Path | None


def of_the_api(
    *,
    scheduler_host: SchedulerHost = None,
    authority: Authority = None,
    verbose: Verbose = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> ApiPlace:
    """Returns the place that the shared options mean, and says which of them have no effect."""
    say_without_effect(scheduler_host=scheduler_host, authority=authority, verbose=verbose)
    return ApiPlace(namespace, kubeconfig, state_dir)


def asks_the_api(command: Callable[..., None]) -> Callable[..., None]:
    """Returns the command with the options of `of_the_api` in place of its parameter `place`."""
    shared = inspect.signature(of_the_api, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        place = of_the_api(**{name: given.pop(name) for name in shared})
        command(**given, place=place)

    parameters = [each for each in own.values() if each.name != "place"] + list(shared.values())
    # typer reads both, the annotations for the types.
    vars(whole)["__signature__"] = inspect.Signature(parameters)
    whole.__annotations__ = {each.name: each.annotation for each in parameters}
    return whole


def say_without_effect(**given: Any) -> None:
    """Says of each option that was given why it changes nothing; keys are options, `_` for `-`."""
    for name, value in given.items():
        if value:
            say(f"note: --{name.replace('_', '-')} has no effect: the objects are in the Kubernetes API")
