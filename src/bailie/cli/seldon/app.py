"""The commands of `seldon`, put together. Run by `main`."""

from __future__ import annotations

import typer

from bailie.cli.seldon import commands, config, infer, inspection

app = typer.Typer(
    name="seldon",
    help="Load, ask and infer models with the commands of Seldon Core v2, over the Kubernetes API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Asks a running `bailie up`, else the API of KUBECONFIG. Exit codes are those of `bailie`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SWITCHES = frozenset(
    {"--force", "--show-headers", "--show-request", "-r", "--sticky-session", "-s", "--verbose", "-v"}
)
"""Flags that are given as `--flag`, or with a value as Go's flags may be: `--flag=true`."""
_RESPONSE = frozenset({"--show-response", "-o"})


def group(help_text: str) -> typer.Typer:
    """Returns an empty group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True)


_models = group("Models.")
_pipelines = group("Pipelines.")
_experiments = group("Experiments.")
_servers = group("Servers.")

_models.command("load")(commands.load)
_models.command("unload")(commands.unload)
_models.command("status")(commands.status)
_models.command("list")(commands.show_all)
_models.command("infer")(infer.infer)
_models.command("metadata")(infer.metadata)

_pipelines.command("load")(commands.load)
_pipelines.command("unload")(commands.unload)
_pipelines.command("status")(commands.status)
_pipelines.command("list")(commands.show_all)
_pipelines.command("infer")(infer.infer)
_pipelines.command("inspect")(inspection.inspect)

_experiments.command("start")(commands.load)
_experiments.command("stop")(commands.unload)
_experiments.command("status")(commands.experiment_status)
_experiments.command("list")(commands.show_all)

_servers.command("list")(commands.show_servers)
_servers.command("status")(commands.server_status)

app.add_typer(_models, name="model")
app.add_typer(_pipelines, name="pipeline")
app.add_typer(_experiments, name="experiment")
app.add_typer(_servers, name="server")
app.add_typer(config.app, name="config")
app.command("load")(commands.load_all)
app.command("unload")(commands.unload_all)
app.command("status")(commands.status_of_all)


def as_typed(arguments: list[str]) -> list[str]:
    """Returns the arguments with Go's `--flag=true` and `--flag=false` as this command line has them."""
    found: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        said = value.lower() in {"true", "1", "t"}
        if not equals or name not in _SWITCHES | _RESPONSE or value.lower() not in _BOOLEANS:
            found.append(argument)
        elif name in _RESPONSE:
            found.append("--show-response" if said else "--no-show-response")
        elif said:
            found.append(name)
    return found


_BOOLEANS = frozenset({"true", "false", "1", "0", "t", "f"})
