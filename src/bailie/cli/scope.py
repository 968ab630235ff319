"""`bailie scope`: which namespaces an operator serves, and the list that says so. Works on any cluster."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, StateDir, connected, local_kubeconfig, run
from bailie.cli.output import ExitCode, Output, console, fail, print_json, say
from bailie.cli.progress import Progress
from bailie.wellknown import names, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bailie.doctor.facts import InstallationView
    from bailie.kube.client import Client

app = typer.Typer(name="scope", help="Show and change the namespaces that the operator serves.")

Home = Annotated[
    str | None,
    typer.Option(
        "--operator-namespace",
        help="The operator's namespace.",
        envvar=variables.OPERATOR_NAMESPACE,
        show_default="the only one that there is",
    ),
]
OutputOption = Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")]
Names = Annotated[list[str], typer.Argument(metavar="NAMESPACE...", help="Namespaces.")]


@app.command("list")
def list_(
    *,
    operator_namespace: Home = None,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Show each namespace of the list: its state, its owner, since when, and why.

    Examples:

      bailie scope list

      bailie scope list --operator-namespace seldon-system -o json
    """

    async def read() -> dict[str, Any]:
        async with connected(kubeconfig, state_dir) as client:
            return await scope_of(client, await home_of(client, operator_namespace, kubeconfig, state_dir))

    value = run(read())
    if output is Output.JSON:
        print_json(value)
        return
    _print(value)


@app.command()
def add(
    namespaces: Names,
    *,
    operator_namespace: Home = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they are served.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds that --wait waits.")] = 120.0,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Add namespaces to the list. The operator serves them within seconds of its rights there.

    On a laptop they get all that they need. On a cluster an administrator gives the rights: `bailie rbac`.
    A name that is in the list already stays there.

    Examples:

      bailie scope add financial-staging

      bailie scope add team-a team-b --wait
    """
    from bailie.scope.watch_list import with_names

    _refuse(namespaces)

    async def change() -> dict[str, Any]:
        async with connected(kubeconfig, state_dir) as client:
            home = await home_of(client, operator_namespace, kubeconfig, state_dir)
            before, _ = await _edit(client, home, lambda text: with_names(text, namespaces))
            present, added = _split(namespaces, before)
            if present:
                say(f"in the list already: {', '.join(present)}")
            local = kubeconfig is None and local_kubeconfig(state_dir) is not None
            if wait:
                with Progress(shown=output is Output.TEXT) as progress:
                    await _served(client, home, namespaces, progress, timeout=timeout, local=local)
            return {"added": added, **await scope_of(client, home)}

    _tell(run(change()), output, "added")


@app.command()
def remove(
    namespaces: Names,
    *,
    operator_namespace: Home = None,
    output: OutputOption = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Remove namespaces from the list. Their pods keep running, but no operator repairs them.

    Of several names those that are in the list are taken; exit code 3 when one is not.

    Examples:

      bailie scope remove financial-staging
    """
    from bailie.scope.watch_list import without_names

    async def change() -> tuple[dict[str, Any], list[str]]:
        async with connected(kubeconfig, state_dir) as client:
            home = await home_of(client, operator_namespace, kubeconfig, state_dir)
            before, after = await _edit(client, home, lambda text: without_names(text, namespaces))
            removed, unknown = _split(namespaces, before)
            if removed and not after.strip():
                say("warning: the list is empty now: this operator serves no namespace")
            return {"removed": removed, **await scope_of(client, home)}, unknown

    value, unknown = run(change())
    _tell(value, output, "removed")
    if unknown:
        where = f"the list, which is ConfigMap {names.WATCH_LIST} in namespace {value['operatorNamespace']}"
        hint = "`bailie scope list` shows what is"
        fail(f"{', '.join(unknown)}: not in {where}", hint=hint, code=ExitCode.NOT_FOUND)


async def home_of(client: Client, chosen: str | None, kubeconfig: Path | None, state_dir: Path | None) -> str:
    """Returns the operator's namespace: the chosen namespace, the laptop's, or the only namespace with a
    list."""
    from bailie.doctor.installation import find_homes
    from bailie.kube.errors import Forbidden
    from bailie.local.settings import OPERATOR_NAMESPACE

    if chosen:
        return chosen
    if kubeconfig is None and local_kubeconfig(state_dir) is not None:
        return OPERATOR_NAMESPACE
    hint = "name its namespace with --operator-namespace"
    try:
        homes = await find_homes(client)
    except Forbidden as error:
        fail(f"operators cannot be looked for: {error}", hint=hint)
    if not homes:
        fail(f"no operator was found: no namespace has a ConfigMap {names.WATCH_LIST}", hint=hint)
    if len(homes) > 1:
        fail(f"there are several operators: in {', '.join(homes)}", hint=hint, code=ExitCode.USAGE)
    return homes[0]


async def scope_of(client: Client, home: str) -> dict[str, Any]:
    """Returns the scope as data: the operator's status, corrected by the present claims."""
    seen = await _view(client, home)
    concerned = sorted({*(seen.listed or ()), *seen.statuses})
    return {
        "operatorNamespace": home,
        "installation": seen.name,
        "operator": {"leader": seen.leader, "alive": seen.alive},
        "selector": seen.data.get("namespaceSelector", "").strip(),
        "problems": [*seen.problems, *([seen.unknown] if seen.unknown else [])],
        "namespaces": [await _row(client, name, seen) for name in concerned],
    }


async def _row(client: Client, namespace: str, seen: InstallationView) -> dict[str, Any]:
    from bailie.doctor.installation import claim_on
    from bailie.kube.errors import ApiError

    said = dict(seen.statuses.get(namespace) or {})
    if not said:
        said = {"state": "waiting", "reason": "NotLookedAt", "message": "the operator has not seen it yet"}
    elif seen.listed is not None and namespace not in seen.listed:
        said |= {"state": "leaving", "reason": "NotListed", "message": "no longer in the list"}
    row = {"namespace": namespace, "owner": "", "since": "", "missing": [], **said}
    try:
        found = await claim_on(client, namespace)
    except ApiError:
        return row
    if found is not None:
        row |= {"owner": found.claim.owner, "since": found.claim.acquired}
        if not found.fresh and row["state"] in {"served", "limited"}:
            text = "the claim is not renewed, because the operator does not run; running pods go on"
            row |= {"state": "waiting", "reason": "NotRenewed", "message": text}
    return row


async def _edit(client: Client, home: str, change: Callable[[str], str]) -> tuple[str, str]:
    """Changes the list, unless it would narrow an operator of the whole cluster to just these namespaces."""
    from bailie.doctor.installation import edit

    seen = await _view(client, home)
    if not seen.unknown and seen.listed is None:
        fail(
            "this operator serves all namespaces of the cluster; a list would take it away from all others",
            hint="narrow it with a label selector, or write the whole list into ConfigMap "
            f"{names.WATCH_LIST}",
        )
    return await edit(client, home, change)


async def _view(client: Client, home: str) -> InstallationView:
    from bailie.doctor.installation import view
    from bailie.kube.errors import NotFound

    try:
        return await view(client, home)
    except NotFound:
        fail(
            f"there is no list in namespace {home} (ConfigMap {names.WATCH_LIST})",
            hint="is the operator there? name its namespace with --operator-namespace",
            code=ExitCode.NOT_FOUND,
        )


async def _served(
    client: Client, home: str, namespaces: Iterable[str], progress: Progress, *, timeout: float, local: bool
) -> None:
    """Waits until the namespaces are served, on a laptop until their pods are ready.

    The command ends at once where another operator has a namespace and does not give it up.
    """
    from bailie.local.errors import DeadlinePassed

    wanted, told = list(namespaces), set[str]()
    ends = asyncio.get_running_loop().time() + timeout
    while left := await _left(client, home, wanted, local=local):
        progress(left)
        for name in wanted:
            text = await _owned_elsewhere(client, home, name)
            if text and text not in told:
                say(text)
            told.add(text)
        if asyncio.get_running_loop().time() > ends:
            raise DeadlinePassed(
                f"not served after {timeout:g} s: {'; '.join(left)}", hint="see `bailie scope list`"
            )
        await asyncio.sleep(0.2)
    progress(())


async def _owned_elsewhere(client: Client, home: str, namespace: str) -> str:
    """Returns a sentence about another operator that serves the namespace and may give it up; empty for none.

    An operator that has the namespace in its list ends the command: no wait has an end there.
    """
    from bailie.doctor.installation import claim_on, view
    from bailie.kube.errors import ApiError

    try:
        found = await claim_on(client, namespace)
        if found is None or not found.fresh or found.claim.owner.partition("/")[0] == home:
            return ""
        claim = found.claim
        other = claim.owner.partition("/")[0]
        seen = await view(client, other)
    except ApiError:
        return ""
    text = f"{namespace} is served by the operator {claim.owner} since {claim.acquired}"
    if seen.unknown or (seen.listed is not None and namespace not in seen.listed):
        return f"{text}; waiting until that operator gives it up"
    hint = f"take it from that operator first: bailie scope remove {namespace} --operator-namespace {other}"
    if seen.listed is None:
        hint = (
            f"that operator serves all namespaces with the label that it is told: narrow it in {other} first"
        )
    return fail(f"{text}, and is in its list", hint=hint, code=ExitCode.NOT_READY)


async def _left(client: Client, home: str, wanted: list[str], *, local: bool) -> list[str]:
    from bailie.local.readiness import waiting_for

    rows = {row["namespace"]: row for row in (await scope_of(client, home))["namespaces"]}
    left = []
    for name in wanted:
        row = rows.get(name, {"state": "taken from the list again", "message": ""})
        if row["state"] not in {"served", "limited"}:
            left.append(f"{name}: {row['message'] or row['state']}")
    if left or not local:
        return left
    return [str(waiting) for waiting in await waiting_for(client, wanted, home)]


def _refuse(namespaces: list[str]) -> None:
    """Ends the command where a name cannot be a namespace's; a name given twice does no harm."""
    from bailie.scope.watch_list import parse_lines

    problems = [problem.message for name in namespaces for problem in parse_lines(name)[1]]
    if not all(name.strip() for name in namespaces):
        problems.append("a name is blank")
    if problems:
        fail("; ".join(problems), code=ExitCode.USAGE)


def _split(namespaces: list[str], text: str) -> tuple[list[str], list[str]]:
    """Returns which of the names are in the list, and which are not."""
    from bailie.scope.watch_list import parse_lines

    listed = parse_lines(text)[0]
    unique = dict.fromkeys(namespaces)
    return [name for name in unique if name in listed], [name for name in unique if name not in listed]


def _tell(value: dict[str, Any], output: Output, done: str) -> None:
    if output is Output.JSON:
        print_json(value)
    elif value[done]:
        sys.stdout.write(f"{done}: {', '.join(value[done])}\n")


def _print(value: dict[str, Any]) -> None:
    from rich.table import Table

    for problem in value["problems"]:
        say(f"warning: {problem}")
    if value["operator"]["alive"] is False:
        say(f"warning: no operator runs in {value['operatorNamespace']}; this is its last report")
    if not value["namespaces"]:
        say("no namespace is in the list")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "STATE", "OWNER", "SINCE", "REASON", "MESSAGE"):
        table.add_column(column, overflow="fold")
    for row in value["namespaces"]:
        shown = (row["namespace"], row["state"], row["owner"], row["since"], row["reason"], row["message"])
        table.add_row(*shown)
    console().print(table)
