"""`bailie pipeline run`: one request through a pipeline on this machine, with stubs. Put together by
`pipeline`."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.api.texts import abridged
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, run
from bailie.cli.infer import read_request
from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.cli.pipelines import PipelineFile, PipelineName, chosen_pipeline, text_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.pipeline import Pipeline
    from bailie.dataflow import PipelinePlan
    from bailie.local.dry_run import DryRun, StepModel

_MOST_SECONDS = 60.0
_SHOWN = 5


def run_dry(
    name: PipelineName = None,
    *,
    request: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="The request as JSON; `-` is standard input.")
    ],
    filename: PipelineFile = None,
    stub: Annotated[
        list[str] | None,
        typer.Option("--stub", metavar="STEP=FILE", help="Answer of a step as JSON; repeatable."),
    ] = None,
    through: Annotated[
        bool, typer.Option("--through", help="Ask the namespace's running Models for the other steps.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Draw what came on each edge, and why not.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Run one request through a Pipeline on this machine, without a cluster, and print the answer.

    Joins, triggers, renamed tensors and endings are as in the pipeline gateway. A step answers as its stub
    says: a file with an inference response, or with `error` for a failure; a list has one for each visit.
    Other steps answer with their inputs, or are asked in the namespace with --through.

    Examples:

      bailie pipeline run -f pipeline.yaml --input request.json

      bailie pipeline run -f pipeline.yaml --input request.json --stub tfsimple1=answer.json --trace

      bailie pipeline run tfsimples --input request.json --through -n financial-staging
    """
    pipeline = chosen_pipeline(name, filename, namespace, (kubeconfig, state_dir))
    plan = _plan(pipeline)
    body = read_request(None, request)
    stubs = _stubs(plan, stub or [])
    if not through:
        _say_echoes(plan, stubs)
    found = run(_run(plan, body, stubs, (namespace, kubeconfig, state_dir) if through else None))
    _print(pipeline, plan, found, trace=trace, output=output)


def _plan(pipeline: Pipeline) -> PipelinePlan:
    from bailie.dataflow import compile_pipeline

    compiled = compile_pipeline(pipeline)
    for warning in compiled.warnings:
        say(f"warning: {warning}")
    if compiled.plan is None:
        for error in compiled.errors:
            say(f"error: {error}")
        fail("the pipeline cannot run", hint="`bailie pipeline show` draws it with its mistakes")
    return compiled.plan


def _stubs(plan: PipelinePlan, given: Iterable[str]) -> dict[str, StepModel]:
    from bailie.local.dry_run import stub_of
    from bailie.local.errors import LocalError

    found: dict[str, StepModel] = {}
    for text in given:
        step, equals, path = text.partition("=")
        if not equals or not path:
            fail(f"--stub {text!r} is not STEP=FILE", code=ExitCode.USAGE)
        if step not in plan.steps:
            fail(
                f"--stub: there is no step {step!r}",
                hint=f"steps: {', '.join(plan.steps)}",
                code=ExitCode.USAGE,
            )
        try:
            found[step] = stub_of(step, Path(path).read_bytes())
        except OSError as error:
            fail(f"{path} cannot be read: {error.strerror}", code=ExitCode.USAGE)
        except LocalError as error:
            fail(error.message, hint=error.hint, code=ExitCode.USAGE)
    return found


def _say_echoes(plan: PipelinePlan, stubs: Mapping[str, StepModel]) -> None:
    echoes = [step for step in plan.steps if step not in stubs]
    if echoes:
        say(f"note: without a stub, {abridged(echoes, _SHOWN)} answer with their inputs (--stub, --through)")


async def _run(
    plan: PipelinePlan,
    body: dict[str, Any],
    stubs: dict[str, StepModel],
    cluster: tuple[str | None, Path | None, Path | None] | None,
) -> DryRun:
    from bailie.local.dry_run import Echo, dry_run, request_of

    request = request_of(body)
    async with AsyncExitStack() as stack:
        other = Echo() if cluster is None else await _namespace_model(stack, *cluster)
        return await dry_run(plan, request, {step: stubs.get(step, other) for step in plan.steps})


async def _namespace_model(
    stack: AsyncExitStack, namespace: str | None, kubeconfig: Path | None, state_dir: Path | None
) -> StepModel:
    from bailie.inference.client import RestClient, rest_url
    from bailie.local.data_plane import reach
    from bailie.local.dry_run import NamespaceModel

    reached = await reach(namespace, kubeconfig, state_dir)
    stack.callback(reached.close)
    client = RestClient(rest_url(reached.address), timeout=_MOST_SECONDS)
    stack.push_async_callback(client.close)
    return NamespaceModel(client)


def _print(pipeline: Pipeline, plan: PipelinePlan, found: DryRun, *, trace: bool, output: Output) -> None:
    from bailie.drawing.marking import marked
    from bailie.drawing.picture import picture_of

    for step, words in found.side_failures.items():
        say(f"note: side branch {step} failed: {words}")
    if output is Output.JSON:
        print_json({"answer": found.answer} | ({"trace": found.trace.told.data(plan)} if trace else {}))
    else:
        if trace:
            sys.stderr.write(text_picture(marked(picture_of(pipeline), found.trace.told.data(plan))))
            sys.stderr.flush()
        if found.answer is not None:
            print_json(found.answer)
    if found.fail is not None:
        fail(f"{found.fail.code.rest} {found.fail.words}")
