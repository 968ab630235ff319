"""Commands that look: `explain`, `logs`, `kubeconfig`, `crds`, `version`, and `demo`, which shows it all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bailie import __version__
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, object_name, run, state_directory
from bailie.cli.one_word import kind_and_name
from bailie.cli.output import (
    ExitCode,
    Output,
    console,
    fail,
    failures_explained,
    print_json,
    say,
    write,
)
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.kube.client import Client

_EXPLAINED = dict.fromkeys(("model", "models", "mlm"), "model")
_EXPLAINED |= dict.fromkeys(("server", "servers", "mls"), "server")
_EXPLAINED |= dict.fromkeys(("pipeline", "pipelines", "mlp"), "pipeline")
_EXPLAINED |= dict.fromkeys(("experiment", "experiments", "mlx"), "experiment")
"""The words of the kinds that can be explained."""
_DEMO_COLUMNS = 110
"""Of the demo's table where no terminal says how wide it is: people read it in the log of a build."""

OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")]


def _explained_kinds(incomplete: str) -> list[str]:
    return [kind for kind in dict.fromkeys(_EXPLAINED.values()) if kind.startswith(incomplete)]


def explain(
    kind: Annotated[
        str | None,
        typer.Argument(help="Kind: model, server, pipeline or experiment.", autocompletion=_explained_kinds),
    ] = None,
    name: Annotated[str | None, typer.Argument(parser=object_name, metavar="name", help="Its name.")] = None,
    *,
    namespace: Namespace = None,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Show where a model is placed and why, or why it is not; why a server has its replicas, and what they
    hold; whether the models of a pipeline's steps answer; or which models an experiment leads to.

    Examples:

      bailie explain model iris

      bailie explain model iris -n financial-staging -o json

      bailie explain server mlserver

      bailie explain pipeline choice

      bailie explain experiment flower

      bailie explain choice.pipeline
    """
    word, name = _named(kind, name)

    async def read() -> dict[str, Any]:
        from bailie.kube.errors import NotFound
        from bailie.local import explanation as of

        found = {
            "model": of.explanation,
            "server": of.server_explanation,
            "pipeline": of.pipeline_explanation,
            "experiment": of.experiment_explanation,
        }[word]
        async with connected(kubeconfig, state_dir) as client:
            place = namespace or client.namespace
            try:
                return await found(client, place, name)
            except NotFound:
                _fail_absent(word, name, place)

    value = run(read())
    if output is Output.JSON:
        print_json(value)
        return
    for line in explained(value):
        write(line)


def _named(kind: str | None, name: str | None) -> tuple[str, str]:
    """Returns the kind and the name that the arguments mean; ends the command where they mean none."""
    if kind is not None and name is None:
        kind, name = kind_and_name(kind) or (kind, None)
    word = _EXPLAINED.get((kind or "").lower())
    if word is None or name is None:
        _fail_unnamed(kind, word, name)
    return word, name


def _fail_unnamed(kind: str | None, word: str | None, name: str | None) -> NoReturn:
    """Ends the command for arguments without a kind that can be explained, or without a name."""
    hint = f"`bailie explain KIND {name or 'NAME'}`, where KIND is model, server, pipeline or experiment"
    if kind is None:
        text = "no kind and no name were given"
    elif word is not None:
        text = f"no {word} was named"
        hint = f"`bailie explain {word} NAME`; `bailie get {word}` lists those that exist"
    elif name is None:
        text = f'"{kind}" is no kind, and a kind and a name are needed'
        hint = hint.replace("NAME", kind)
    else:
        text = f'only models, servers, pipelines and experiments can be explained, not "{kind}"'
    fail(text, hint=hint, code=ExitCode.USAGE)


def _fail_absent(kind: str, name: str, namespace: str) -> NoReturn:
    """Ends the command for an object that is not there."""
    from bailie.api.names import TAKEN_ENDINGS

    text = f"{kind} {name} does not exist in namespace {namespace}"
    hint = f"`bailie get {kind} -n {namespace}` lists those that exist"
    own, _, of_callers = name.rpartition(".")
    if own and f".{of_callers}" in TAKEN_ENDINGS:
        text = f"no {kind} is named {name}: by this name callers ask for {of_callers} {own}"
        hint = f"`bailie explain {of_callers} {own} -n {namespace}`"
    fail(text, hint=hint, code=ExitCode.NOT_FOUND)


def explained(value: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of an explanation (`local.explanation`) for people; no message is said twice."""
    name = next(value[kind] for kind in dict.fromkeys(_EXPLAINED.values()) if kind in value)
    yield f"{name}: {value['summary']}"
    told = {value["summary"]}
    for condition in value["conditions"]:
        reason, message = condition.get("reason") or "", condition.get("message") or ""
        sentence = message if message != reason else ""
        text = ": ".join(part for part in (reason, sentence) if part and part not in told)
        told.add(sentence)
        yield f"  {condition['type']}={condition['status']}  {text}".rstrip()
    yield from (f"  {line}" for line in value["trail"])


def logs(
    pod: Annotated[str, typer.Argument(parser=object_name, metavar="pod", help="A pod's name.")],
    *,
    container: Annotated[str | None, typer.Option("-c", "--container", help="One of its containers.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the log.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, help="Only the last lines.", show_default="all")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Print the log of a pod's container: of the one that is named, or of the first.

    Examples:

      bailie logs seldon-scheduler-0 -n seldon-system

      bailie logs mlserver-0 -c mlserver --tail 50

      bailie logs mlserver-0 -c agent -f
    """

    async def copy() -> None:
        async with connected(kubeconfig, state_dir) as client:
            place = namespace or client.namespace
            chosen = container or await _first_container(client, pod, place)
            async for piece in client.log(pod, place, container=chosen, follow=follow, tail=tail):
                sys.stdout.write(piece)
                sys.stdout.flush()

    run(copy())


async def _first_container(client: Client, pod: str, namespace: str) -> str:
    """Returns the container that kubectl takes, too, where none is named; says so where there are several."""
    from bailie.api.kinds import POD

    found = await client.get(POD, pod, namespace)
    names = [each["name"] for each in found["spec"]["containers"]]
    if len(names) > 1:
        say(f"container {names[0]} of {', '.join(names)}; -c names another one")
    return str(names[0])


def kubeconfig(
    *,
    operator: Annotated[
        bool, typer.Option("--operator", help="The kubeconfig with the operator's rights.")
    ] = False,
    output: OutputOption = Output.TEXT,
    state_dir: StateDir = None,
) -> None:
    """Print the path of the local API's kubeconfig.

    Example: export KUBECONFIG=$(bailie kubeconfig)
    """
    state = state_directory(state_dir)
    path = state.operator_kubeconfig if operator else state.kubeconfig
    if not path.exists():
        fail(f"there is no {path}", hint="`bailie up` makes it")
    if output is Output.JSON:
        print_json({"kubeconfig": str(path)})
    else:
        sys.stdout.write(f"{path}\n")


def crds(*, output: OutputOption = Output.TEXT) -> None:
    """Print the custom resource definitions, for `kubectl apply -f -`."""
    import yaml

    from bailie.api.crd import crd_manifests

    if output is Output.JSON:
        print_json({"apiVersion": "v1", "kind": "List", "items": crd_manifests()})
    else:
        sys.stdout.write(yaml.safe_dump_all(crd_manifests(), sort_keys=False))


def version(*, output: OutputOption = Output.TEXT) -> None:
    """Print the version."""
    if output is Output.JSON:
        print_json({"version": __version__, "python": sys.version.split()[0]})
    else:
        sys.stdout.write(f"{__version__}\n")


def demo(
    *,
    mlserver_environment: Annotated[
        Path | None,
        typer.Option("--mlserver-env", help="MLServer's virtual environment.", envvar=variables.MLSERVER_ENV),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show everything on this machine in about a minute, and leave nothing running.

    Exit code 0 only if everything that the table claims held.
    """
    import dataclasses

    from bailie.local import demo as show
    from bailie.local.settings import machine_settings

    environment = (mlserver_environment or machine_settings().mlserver_environment).absolute()
    with failures_explained():
        rows = show.run(environment, say)
    if output is Output.JSON:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        _print_rows(rows)
    if not all(row.held for row in rows):
        fail("the demo failed", hint="see the rows marked NO")


def _print_rows(rows: list[Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("SHOWN", "HELD", "DETAIL"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.claim, "yes" if row.held else "NO", row.detail)
    console(_DEMO_COLUMNS).print(table)
