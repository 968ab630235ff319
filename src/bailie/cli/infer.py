"""`bailie infer`: sends a request of the Open Inference Protocol through a namespace's data plane."""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.wellknown import headers

if TYPE_CHECKING:
    from bailie.inference.client import InferenceAnswer, InferenceClient


_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""The names that both HTTP and gRPC metadata accept."""


_CODES = {
    "404": ExitCode.NOT_FOUND,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "503": ExitCode.NOT_READY,
    "UNAVAILABLE": ExitCode.NOT_READY,
}
"""How the command ends for an answer that says no."""


class Mode(StrEnum):
    """The protocol on the wire."""

    REST = "rest"
    GRPC = "grpc"


def infer(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    data: Annotated[str | None, typer.Argument(help="The request as JSON; `-` reads standard input.")] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", "--file-path", help="Read it from a file.")
    ] = None,
    mode: Annotated[Mode, typer.Option("--mode", "--inference-mode", help="The protocol.")] = Mode.REST,
    iterations: Annotated[int, typer.Option("-i", "--iterations", min=1, help="How many times.")] = 1,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="Send KEY=VALUE along; repeatable.")
    ] = None,
    show_headers: Annotated[bool, typer.Option("--show-headers", help="Print the answer's headers.")] = False,
    host: Annotated[
        str | None,
        typer.Option("--inference-host", help="HOST:PORT of the data plane.", show_default="the namespace's"),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.001, help="Seconds to wait for an answer.")
    ] = 60.0,
    namespace: Namespace = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the summary.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Send an inference request and print the answer.

    Examples:

      bailie infer iris '{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [5, 3]}]}'

      bailie infer iris -f request.json --mode grpc --show-headers

      bailie infer iris -f request.json --iterations 100
    """
    if not _is_header_value(model) or "/" in model or not model:
        fail(f"{model!r} cannot be a model's name", code=ExitCode.USAGE)
    body = read_request(data, file)
    headers = dict(_pair(item) for item in header or [])

    async def send() -> list[InferenceAnswer]:
        client = await _client(
            mode, host, timeout, namespace=namespace, kubeconfig=kubeconfig, state_dir=state_dir
        )
        try:
            first = await client.infer(model, body, headers)
            return [first, *[await _further(client, model, body, headers) for _ in range(iterations - 1)]]
        finally:
            await client.close()

    from bailie.inference.client import ServerUnreachable
    from bailie.inference.codec import BadRequest

    try:
        answers = run(send())
    except ServerUnreachable as error:
        fail(str(error), hint="is the data plane up? `bailie status`")
    except BadRequest as error:
        fail(f"the request is not valid: {error}", code=ExitCode.USAGE)
    _show(answers, show_headers=show_headers, output=output)


async def _further(
    client: InferenceClient, model: str, body: dict[str, Any], headers: dict[str, str]
) -> InferenceAnswer:
    """Sends one more request to an endpoint that has answered before; no answer is counted like a bad one."""
    from bailie.inference.client import InferenceAnswer, ServerUnreachable

    try:
        return await client.infer(model, body, headers)
    except ServerUnreachable:
        return InferenceAnswer(ok=False, status="unanswered", body=None, headers={})


def read_request(data: str | None, file: Path | None) -> dict[str, Any]:
    """Returns the request body from the argument, the file, or standard input."""
    if data is not None and file is not None:
        fail("give the request as an argument or with --file, not both", code=ExitCode.USAGE)
    try:
        if file is not None:
            text = file.read_text()
        elif data is None or data == "-":
            if data is None and sys.stdin.isatty():
                hint = "give JSON as an argument, with --file, or on standard input"
                fail("no request", hint=hint, code=ExitCode.USAGE)
            text = sys.stdin.read()
        else:
            text = data
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", code=ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{file or 'standard input'} is not text", code=ExitCode.USAGE)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of levels
        fail(f"the request is not JSON: {error}", code=ExitCode.USAGE)
    if not isinstance(body, dict):
        fail("the request must be a JSON object with `inputs`", code=ExitCode.USAGE)
    return body


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        fail(f"--header {item!r} is not KEY=VALUE", code=ExitCode.USAGE)
    if not _HEADER_NAME.fullmatch(name) or not _is_header_value(value):
        fail(f"--header {item!r} cannot be sent: only printable ASCII goes into headers", code=ExitCode.USAGE)
    return name.lower(), value


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable()


async def _target(namespace: str | None, kubeconfig: Path | None, state_dir: Path | None) -> str:
    from bailie.local.status import inference_address

    async with connected(kubeconfig, state_dir) as client:
        return await inference_address(client, namespace or client.namespace)


async def _client(
    mode: Mode,
    host: str | None,
    timeout: float,
    *,
    namespace: str | None,
    kubeconfig: Path | None,
    state_dir: Path | None,
) -> InferenceClient:
    from bailie.cli.data_plane import rest_client
    from bailie.inference.client import GrpcClient, RestClient

    if mode is Mode.GRPC:
        return GrpcClient(host or await _target(namespace, kubeconfig, state_dir), timeout=timeout)
    if host:
        return RestClient(host if "://" in host else f"http://{host}", timeout=timeout)
    async with connected(kubeconfig, state_dir) as client:
        return await rest_client(client, namespace or client.namespace, timeout=timeout)


def _show(answers: list[InferenceAnswer], *, show_headers: bool, output: Output) -> None:
    """Prints one answer whole, and several as counts by outcome and by the version that answered."""
    failed = [answer for answer in answers if not answer.ok]
    if len(answers) == 1:
        answer = answers[0]
        if show_headers:
            for name, value in answer.headers.items():
                say(f"{name}: {value}")
        if answer.ok or not isinstance(answer.body, str):
            print_json(answer.body)
        if failed:
            text = answer.body if isinstance(answer.body, str) else _reason(answer.body)
            fail(f"{answer.status} {text}".strip(), code=_CODES.get(answer.status, ExitCode.FAILED))
        return
    summary = {"success": _count(answers, ok=True), "failed": _count(answers, ok=False)}
    if output is Output.JSON:
        print_json(summary)
    else:
        for outcome, counts in summary.items():
            if counts:
                text = ", ".join(f"{number} {key}" for key, number in counts.items())
                sys.stdout.write(f"{outcome}: {text}\n")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _reason(body: Any) -> str:
    """Returns the error in an answer: Envoy's, a V2 server's, or a list of wrong fields (FastAPI's)."""
    if not isinstance(body, dict):
        return ""
    if body.get("kind") == "Status":  # of the API server, on the way to the data plane
        return str(body.get("message") or "")
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("message", error))
    wrong = body.get("detail")
    if isinstance(wrong, list):
        fields = [each for each in wrong if isinstance(each, dict) and "msg" in each]
        return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each['msg']}" for each in fields)
    return str(error or "")


def _count(answers: list[InferenceAnswer], *, ok: bool) -> dict[str, int]:
    counts: dict[str, int] = {}
    for answer in answers:
        if answer.ok is ok:
            key = answer.headers.get(headers.ROUTE, "answered") if ok else answer.status
            counts[key] = counts.get(key, 0) + 1
    return counts
