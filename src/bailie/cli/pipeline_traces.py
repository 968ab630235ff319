"""`bailie pipeline trace`: the way of one request, drawn. Put together by `pipeline`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.api.texts import shown
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.output import ExitCode, Output, console, fail, print_json, say
from bailie.cli.pipelines import drawable, text_picture
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.local.gateway_traces import GatewayAnswers

_HINT = (
    "gateways remember the last requests, and of busy traffic a few in each second; one with the header"
    f" {headers.TRACE}: 1 is always traced"
)


def trace(
    request_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The request's x-request-id.", show_default="list the last ones"),
    ] = None,
    *,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Draw the way of one request through its pipeline: times, bytes, and why data did not come.

    The pipelines that followed are drawn below. Without an ID the last requests are listed. The gateways are
    asked through `kubectl port-forward`, for a trace is for those who may look into the pod.

    Examples:

      bailie pipeline trace

      bailie pipeline trace 8d0c7a4e-1f0b-4f0e-9a55-0d5a8d1c3b1e

      bailie infer tfsimples.pipeline -f request.json --header x-bailie-trace=1 --show-headers
    """
    if request_id is not None and not request_id.isprintable():
        fail(f'"{shown(request_id)}" cannot be the ID of a request', code=ExitCode.USAGE)
    answers = run(read_gateways("traces", request_id or "", namespace, (kubeconfig, state_dir)))
    for sentence in answers.unheard:
        say(f"warning: not asked: {sentence}")
    if request_id is None:
        _show_list([each for answer in answers.found for each in answer.get("requests", ())], output)
        return
    found = [each for answer in answers.found for each in answer.get("traces", ())]
    if not found:
        fail(f"no gateway remembers a request {request_id!r}", hint=_HINT, code=ExitCode.NOT_FOUND)
    if output is Output.JSON:
        print_json(found)
        return
    for each in sorted(found, key=lambda trace: (bool(trace.get("follower")), trace.get("at", 0))):
        sys.stdout.write(drawn(each))


async def read_gateways(
    kind: str, name: str, namespace: str | None, cluster: tuple[Path | None, Path | None]
) -> GatewayAnswers:
    """Returns the answers of all gateways of the namespace. Raises LocalError, ApiError."""
    from bailie.local.gateway_traces import GatewayReader

    async with connected(*cluster) as client:
        place = namespace or client.namespace
        return await GatewayReader(client, place, *cluster).read(kind, name)


def drawn(trace: dict[str, Any]) -> str:
    """Returns a trace as a line about the request, and the picture of the version that ran."""
    from bailie.drawing.marking import ending_of, marked
    from bailie.drawing.picture import picture_of

    pipeline = drawable(
        {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": trace["pipeline"]},
            "spec": trace["spec"],
        }
    )
    follower = ", a follower" if trace.get("follower") else ""
    who = f"{shown(trace['pipeline'])} version {trace['version']}{follower}"
    return f"{who}, {_moment(trace)}: {ending_of(trace)}\n{text_picture(marked(picture_of(pipeline), trace))}"


def _show_list(found: list[dict[str, Any]], output: Output) -> None:
    from rich.table import Table

    from bailie.drawing.marking import ending_of

    found = sorted(found, key=lambda each: float(each.get("at", 0)), reverse=True)
    if output is Output.JSON:
        print_json(found)
        return
    if not found:
        say(f"no request is remembered; {_HINT}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("AT", "PIPELINE", "VERSION", "ENDING", "ID"):
        table.add_column(column, overflow="fold")
    for each in found:
        name = f"{each['pipeline']} (follower)" if each.get("follower") else each["pipeline"]
        table.add_row(
            _moment(each), shown(name), str(each["version"]), shown(ending_of(each)), shown(each["id"])
        )
    console().print(table)


def _moment(trace: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(float(trace.get("at", 0)), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
