"""`seldon model infer`, `seldon pipeline infer` and `seldon model metadata`: requests to the data plane."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir
from bailie.cli.infer import (
    DataPlane,
    InferCall,
    Mode,
    ask,
    ask_metadata,
    count_answers,
    fail_with,
    header_pairs,
    model_name,
    read_request,
)
from bailie.cli.output import ExitCode, say
from bailie.cli.seldon import session, views
from bailie.cli.seldon.commands import print_message
from bailie.cli.seldon.options import ApiPlace, ShowRequest, ShowResponse
from bailie.wellknown import headers as known_headers
from bailie.wellknown import variables
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.inference.client import InferenceAnswer

_SECONDS = 60.0

Data = Annotated[str | None, typer.Argument(help="The request as JSON; `-` reads standard input.")]
RequestFile = Annotated[Path | None, typer.Option("-f", "--file-path", help="Read the request from a file.")]
InferenceMode = Annotated[Mode, typer.Option("--inference-mode", help="The protocol.")]
Iterations = Annotated[int, typer.Option("-i", "--iterations", min=1, help="How many times.")]
Seconds = Annotated[
    float, typer.Option("-t", "--seconds", min=0, help="Repeat the request for so many seconds.")
]
Sticky = Annotated[
    bool, typer.Option("-s", "--sticky-session", help="Ask the version that answered the last request.")
]
Header = Annotated[list[str] | None, typer.Option("--header", help="Send KEY=VALUE along; repeatable.")]
ShowHeaders = Annotated[bool, typer.Option("--show-headers", help="Print the headers of both sides.")]
InferenceHost = Annotated[
    str | None,
    typer.Option(
        "--inference-host",
        envvar=variables.INFER_HOST,
        help="HOST:PORT of the data plane.",
        show_default="that of the active configuration, else the namespace's",
    ),
]
InferAuthority = Annotated[str | None, typer.Option("--authority", help="The `Host` of a REST request.")]


def infer(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of a model or pipeline, or EXPERIMENT.experiment.")],
    data: Data = None,
    *,
    file: RequestFile = None,
    mode: InferenceMode = Mode.REST,
    iterations: Iterations = 1,
    seconds: Seconds = 0.0,
    sticky: Sticky = False,
    header: Header = None,
    show_headers: ShowHeaders = False,
    show_request: ShowRequest = False,
    show_response: ShowResponse = True,
    host: InferenceHost = None,
    authority: InferAuthority = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Send an inference request and print the answer.

    Example: seldon model infer iris -f examples/iris/request.json -i 50
    """
    of_pipeline = context.parent is not None and context.parent.info_name == "pipeline"
    call = InferCall(
        model=model_name(name) + (PIPELINE_ENDING if of_pipeline else ""),
        body=read_request(data, file),
        headers=_headers(header, authority, mode, sticky=sticky),
        iterations=iterations,
        seconds=seconds,
    )
    plane = _plane(host, mode, ApiPlace(namespace, kubeconfig, state_dir))
    _infer(plane, call, _Shown(show_headers, show_request, show_response))


def metadata(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    *,
    host: InferenceHost = None,
    authority: InferAuthority = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Print the tensors that a model takes and gives, as its server knows them."""
    plane = _plane(host, Mode.REST, ApiPlace(namespace, kubeconfig, state_dir))
    answer = ask_metadata(plane, model_name(model), _headers(None, authority, Mode.REST, sticky=False))
    _print_answer(answer)


class _Shown(NamedTuple):
    """The parts of an exchange that are printed."""

    headers: bool
    request: bool
    response: bool


def _headers(given: list[str] | None, authority: str | None, mode: Mode, *, sticky: bool) -> dict[str, str]:
    found = header_pairs(given)
    if sticky and (route := session.route()):
        found[known_headers.ROUTE] = route
    if authority and mode is Mode.REST:
        found["host"] = authority
    elif authority:
        say("note: --authority has no effect on gRPC: the authority is that of --inference-host")
    return found


def _plane(host: str | None, mode: Mode, place: ApiPlace) -> DataPlane:
    """Returns where requests go: the option or variable, the active configuration, then the namespace's."""
    return DataPlane(
        host=host or session.inference_host(),
        mode=mode,
        timeout=_SECONDS,
        namespace=place.namespace,
        kubeconfig=place.kubeconfig,
        state_dir=place.state_dir,
    )


def _infer(plane: DataPlane, call: InferCall, shown: _Shown) -> None:
    if shown.request:
        _print_json(call.body)
    if shown.headers:
        _print_headers(">", {known_headers.MODEL: call.model, **call.headers})
    answers = ask(plane, call)
    session.remember(answers[-1].headers.get(known_headers.ROUTE, ""))
    if call.once:
        if shown.headers:
            _print_headers("<", answers[0].headers)
        _print_answer(answers[0], shown=shown.response)
        return
    failed = count_answers(answers, ok=False)
    sys.stdout.write(f"Success: {views.go_map(count_answers(answers, ok=True))}\n")
    if failed:
        sys.stdout.write(f"Failed: {views.go_map(failed)}\n")
        raise typer.Exit(ExitCode.FAILED)


def _print_headers(side: str, found: Mapping[str, str]) -> None:
    for name, value in found.items():
        sys.stdout.write(f"{side} {name}:[{value}]\n")


def _print_answer(answer: InferenceAnswer, *, shown: bool = True) -> None:
    """Prints an answer as upstream does: REST indented by tabs, the message of gRPC on one line."""
    from bailie.inference.codec import message_as_json

    if not answer.ok:
        fail_with(answer)
    if shown and answer.message is not None:
        print_message(message_as_json(answer.message))
    elif shown:
        _print_json(answer.body)


def _print_json(body: Any) -> None:
    sys.stdout.write(json.dumps(body, indent="\t", ensure_ascii=False) + "\n")
