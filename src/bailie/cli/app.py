"""The commands for people, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bailie.cli import (
    check,
    doctor,
    experiment,
    infer,
    inspect,
    lifecycle,
    migrate,
    pipeline,
    processes,
    rbac,
    resources,
    scope,
    serve,
    top,
)

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="bailie",
    help="Serve models on Kubernetes, or on this machine: a scoped operator, a scheduler per namespace.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 not usable as given, 3 not there, 4 not ready, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "On this machine": (
        lifecycle.up,
        lifecycle.down,
        lifecycle.status,
        serve.serve,
        inspect.demo,
    ),
    "Resources and requests": (resources.apply, resources.get, resources.delete, infer.infer),
    "Look": (
        doctor.doctor,
        top.top,
        inspect.explain,
        inspect.logs,
        inspect.kubeconfig,
        inspect.crds,
        rbac.rbac,
        inspect.version,
    ),
}

for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(scope.app, rich_help_panel="Resources and requests")
app.add_typer(check.app, rich_help_panel="Look")
app.add_typer(pipeline.app, rich_help_panel="Look")
app.add_typer(experiment.app, rich_help_panel="Resources and requests")
app.add_typer(migrate.app, rich_help_panel="Resources and requests")
for process in processes.PROCESSES.values():
    app.command(process.name, help=process.help, rich_help_panel="What pods run")(process.show_help)
