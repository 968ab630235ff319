"""`bailie migrate plan`: a move beforehand, for people and for programs. Reads only. Put together by
`migrate`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.api.texts import counted
from bailie.cli.cluster import Kubeconfig, StateDir, connected, run
from bailie.cli.output import ExitCode, console, fail, print_json, say
from bailie.cli.resources import Form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.kube.client import Client
    from bailie.migration.facts import MoveFacts
    from bailie.migration.finding import PlanFinding
    from bailie.migration.plan import MovePlan
    from bailie.migration.preview import TriedWrites
    from bailie.migration.to_seldon import ScopedPlan


class Destination(StrEnum):
    """Where the namespaces are to move."""

    BAILIE = "bailie"
    SELDON = "seldon"


def plan(
    namespaces: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMESPACE...]", help="Namespaces.", show_default="the kubeconfig's"),
    ] = None,
    *,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Every namespace with resources, in order.")
    ] = False,
    to: Annotated[
        Destination, typer.Option("--to", help="seldon: values and commands for Seldon Core's own charts.")
    ] = Destination.BAILIE,
    output: Annotated[Form, typer.Option("-o", "--output", help="Form of the result.")] = Form.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Say how a namespace would get a scheduler of its own, and what stands in the way. Reads only.

    From Bailie or Seldon Core v2 with one central scheduler, or Seldon Core v2 with one in the namespace.
    Each finding has a remedy; a blocker must be mended before `apply`. With -A the namespaces come in the
    order in which to move them. Exit code 0 when nothing blocks, 1 when something does.

    Examples:

      bailie migrate plan financial-staging

      bailie migrate plan -A

      bailie migrate plan financial-staging -o json

      bailie migrate plan financial-staging --to seldon
    """
    _refuse(namespaces, all_namespaces=all_namespaces)
    tried = run(_read(namespaces, all_namespaces=all_namespaces, cluster=(kubeconfig, state_dir)))
    if not tried:
        fail("no namespace has resources of mlops.seldon.io", hint="name one: bailie migrate plan NAMESPACE")
    if to is Destination.SELDON:
        _show_scoped([facts for facts, _ in tried], output)
        return
    from bailie.migration.plan import in_order, make_plan

    plans = in_order(
        make_plan(facts, changes=writes.changes, refused=writes.findings) for facts, writes in tried
    )
    if output is not Form.TEXT:
        _print({"plans": [each.data() for each in plans]}, output)
    elif all_namespaces:
        _show_order(plans)
    else:
        sys.stdout.write("\n".join(map(_told, plans)))
    if any(each.blocked for each in plans):
        raise typer.Exit(ExitCode.FAILED)


def _refuse(namespaces: list[str] | None, *, all_namespaces: bool) -> None:
    from bailie.api.names import label_problems

    if namespaces and all_namespaces:
        fail("-A is for all namespaces; name none with it", code=ExitCode.USAGE)
    for name in namespaces or ():
        if problems := label_problems("NAMESPACE", name):
            fail(str(problems[0]), code=ExitCode.USAGE)


async def _read(
    namespaces: list[str] | None, *, all_namespaces: bool, cluster: tuple[Any, Any]
) -> list[tuple[MoveFacts, TriedWrites]]:
    from bailie.migration.preview import try_writes
    from bailie.migration.read import read_all
    from bailie.migration.source import recognise

    async with connected(*cluster) as client:
        chosen = await _with_resources(client) if all_namespaces else namespaces or [client.namespace]
        found = await read_all(client, dict.fromkeys(chosen))
        return [(facts, await try_writes(client, facts, recognise(facts))) for facts in found]


async def _with_resources(client: Client) -> list[str]:
    from bailie.doctor.gather import concerned, find_installations

    return await concerned(client, await find_installations(client, None))


def _show_order(plans: Sequence[MovePlan]) -> None:
    from rich.table import Table

    from bailie.migration.finding import Impact
    from bailie.migration.source import WORDS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ORDER", "NAMESPACE", "FROM", "MODELS", "BLOCKERS", "ADVICE", "FIRST TO MEND"):
        table.add_column(column, overflow="fold")
    for place, each in enumerate(plans, 1):
        blockers = [finding for finding in each.findings if finding.impact is Impact.BLOCKER]
        table.add_row(
            str(place),
            each.namespace,
            WORDS[each.source],
            str(each.models),
            str(len(blockers)),
            str(len(each.findings) - len(blockers)),
            f"{blockers[0].object}: {blockers[0].message}" if blockers else "",
        )
    console().print(table)
    say("bailie migrate plan NAMESPACE has the findings with their remedies, and the steps")


def _told(plan: MovePlan) -> str:
    """Returns a plan as text that reads in a minute."""
    from bailie.migration.finding import Impact
    from bailie.migration.source import WORDS

    beside = f", scheduled from {plan.central}" if plan.central else ""
    lines = [f"{plan.namespace}: {WORDS[plan.source]}{beside}", f"  {_size_of(plan)}", ""]
    for impact in Impact:
        found = [finding for finding in plan.findings if finding.impact is impact]
        title = counted(len(found), "blocker") if impact is Impact.BLOCKER else impact.value
        lines += _listed(title, found)
    if plan.changes:
        lines += [
            "the first changes, as the API server would make them",
            *(f"  {each}" for each in plan.changes),
        ]
        lines.append("")
    if plan.steps:
        lines.append("steps")
        for number, step in enumerate(plan.steps, 1):
            lines.append(f"  {number}. {step.name}: {step.title}")
            lines += [f"     {step.command}"] if step.command else []
            lines.append(f"     back: {step.back}")
        lines.append("")
    lines.append(_next(plan))
    return "\n".join(lines) + "\n"


def _listed(title: str, found: Sequence[PlanFinding]) -> list[str]:
    if not found:
        return []
    lines = [title]
    for finding in found:
        lines += [f"  {finding.object}: {finding.message}", f"    -> {finding.remedy}"]
    return [*lines, ""]


def _size_of(plan: MovePlan) -> str:
    sizes = ((plan.models, "Model"), (plan.servers, "Server"), (plan.pipelines, "Pipeline"))
    size = ", ".join(counted(number, kind) for number, kind in sizes)
    if not plan.seconds:
        return size
    minutes = max(1, round(plan.seconds / 60))
    room = f"; second copies of the servers: {plan.memory / 2**30:.1f}Gi of memory" if plan.memory else ""
    return f"{size}; takes about {minutes} min{room}"


def _next(plan: MovePlan) -> str:
    if plan.blocked:
        return "Something stands in the way: mend the blockers, then run the plan again."
    if not plan.steps:
        return "There is nothing to move."
    return f"Nothing stands in the way: bailie migrate apply {plan.namespace}"


def _show_scoped(facts: Sequence[MoveFacts], output: Form) -> None:
    from bailie.migration.to_seldon import scoped_plan

    found = scoped_plan(facts)
    if output is Form.TEXT:
        sys.stdout.write(_scoped_text(found))
    else:
        _print(found.data(), output)


def _scoped_text(found: ScopedPlan) -> str:
    import yaml

    values = yaml.safe_dump(found.values, sort_keys=False)
    numbered = [f"#   {number}. {trap}" for number, trap in enumerate(found.traps, 1)]
    lines = [
        f"# Seldon Core's scoped pattern, operator in {found.home}. Read these traps first:",
        *numbered,
        "cat > scoped.yaml <<'EOF'",
        f"{values}EOF",
        *found.commands,
    ]
    return "\n".join(lines) + "\n"


def _print(value: dict[str, Any], output: Form) -> None:
    if output is Form.JSON:
        print_json(value)
        return
    import yaml

    sys.stdout.write(yaml.safe_dump(value, sort_keys=False))
