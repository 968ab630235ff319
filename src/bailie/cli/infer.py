"""`bailie infer`: sends a request of the Open Inference Protocol through a namespace's data plane.

`seldon.infer` sends its requests by the same functions.
"""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, run
from bailie.cli.output import ExitCode, Output, fail, print_json, say
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from bailie.inference.client import InferenceAnswer, InferenceClient

T = TypeVar("T")

_LARGEST = 256 << 20
"""Characters of a request: a device has no end."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""The names that both HTTP and gRPC metadata accept."""
_ANSWERED, _UNANSWERED = "answered", "unanswered"
"""The words for answers that name no version, and for requests without an answer."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InferCall:
    """A request, and how often it is sent: `iterations` times, or for `seconds` where that is not 0."""

    model: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    iterations: int = 1
    seconds: float = 0.0

    @property
    def once(self) -> bool:
        """Whether one answer is all there is."""
        return self.iterations == 1 and not self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """Where requests go: to `host` (HOST:PORT or a URL), else to the data plane of the namespace."""

    host: str | None
    mode: Mode
    timeout: float
    namespace: str | None
    kubeconfig: Path | None
    state_dir: Path | None


def infer(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    data: Annotated[str | None, typer.Argument(help="The request as JSON; `-` reads standard input.")] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", "--file-path", help="Read it from a file.")
    ] = None,
    mode: Annotated[Mode, typer.Option("--mode", "--inference-mode", help="The protocol.")] = Mode.REST,
    iterations: Annotated[int, typer.Option("-i", "--iterations", min=1, help="How many times.")] = 1,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=0, help="Repeat it for so long, however often.", show_default=False),
    ] = 0.0,
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
    call = InferCall(
        model=model_name(model),
        body=read_request(data, file),
        headers=header_pairs(header),
        iterations=iterations,
        seconds=seconds,
    )
    plane = DataPlane(
        host=host,
        mode=mode,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        state_dir=state_dir,
    )
    _show(call, ask(plane, call), show_headers=show_headers, output=output)


def model_name(text: str) -> str:
    """Returns a model's name; ends the command where the text can be in no header and no path."""
    if not text or "/" in text or not _is_header_value(text):
        fail(f"{text!r} cannot be a model's name", code=ExitCode.USAGE)
    return text


def ask(plane: DataPlane, call: InferCall) -> list[InferenceAnswer]:
    """Sends the requests one after the other and returns the answers; ends the command when the first finds
    no server."""

    async def send() -> list[InferenceAnswer]:
        async with _address(plane) as address:
            client = _client(plane.mode, address, plane.timeout)
            try:
                return await _repeated(client, call)
            finally:
                await client.close()

    return _explained(send())


async def _repeated(client: InferenceClient, call: InferCall) -> list[InferenceAnswer]:
    begun = time.monotonic()
    answers = [await client.infer(call.model, call.body, call.headers)]
    while time.monotonic() - begun < call.seconds if call.seconds else len(answers) < call.iterations:
        answers.append(await _further(client, call))
    return answers


async def _further(client: InferenceClient, call: InferCall) -> InferenceAnswer:
    """Sends one more request to an endpoint that has answered before; no answer is counted like a bad one.

    Only what is counted is kept: requests may go on for hours.
    """
    from bailie.inference.client import InferenceAnswer, ServerUnreachable

    try:
        answer = await client.infer(call.model, call.body, call.headers)
        return replace(answer, body=None, message=None)
    except ServerUnreachable:
        return InferenceAnswer(ok=False, status=_UNANSWERED, body=None, headers={})


def _request_text(data: str | None, file: Path | None) -> str:
    if file is not None and str(file) != "-":
        with file.open() as opened:
            return opened.read(_LARGEST + 1)
    if data is not None and data != "-":
        return data
    asked = data is not None or file is not None
    return "" if not asked and sys.stdin.isatty() else sys.stdin.read(_LARGEST + 1)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long, or characters that no name has
        return False


def read_request(data: str | None, file: Path | None) -> dict[str, Any]:
    """Returns the request body from the argument, the file, or standard input."""
    if data is not None and file is not None:
        fail("give the request as an argument or with --file, not both", code=ExitCode.USAGE)
    try:
        text = _request_text(data, file)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", code=ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{file or 'standard input'} is not text", code=ExitCode.USAGE)
    if len(text) > _LARGEST:
        fail(f"the request has more than {_LARGEST >> 20} MiB of text", code=ExitCode.USAGE)
    if not text.strip():
        hint = "give JSON as an argument, with --file, or on standard input"
        fail("no request", hint=hint, code=ExitCode.USAGE)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of levels
        hint = f"`-f {data}` sends the file" if data is not None and _is_file(data) else ""
        fail(f"the request is not JSON: {error}", hint=hint, code=ExitCode.USAGE)
    if not isinstance(body, dict):
        fail("the request must be a JSON object with `inputs`", code=ExitCode.USAGE)
    return body


def header_pairs(items: list[str] | None) -> dict[str, str]:
    """Returns the headers that `--header KEY=VALUE` names; ends the command where one cannot be sent."""
    return dict(_pair(item) for item in items or [])


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals:
        fail(f"--header {item!r} is not KEY=VALUE", code=ExitCode.USAGE)
    if not _HEADER_NAME.fullmatch(name) or not _is_header_value(value):
        fail(f"--header {item!r} cannot be sent: only printable ASCII goes into headers", code=ExitCode.USAGE)
    return name.lower(), value


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable()


def ask_metadata(plane: DataPlane, model: str, headers: dict[str, str]) -> InferenceAnswer:
    """Returns the server's answer about a model's tensors; ends the command when no server answers."""

    async def send() -> InferenceAnswer:
        from bailie.inference.client import RestClient, rest_url

        async with _address(plane) as address:
            client = RestClient(rest_url(address), timeout=plane.timeout)
            try:
                return await client.metadata(model, headers)
            finally:
                await client.close()

    return _explained(send())


def _explained(work: Coroutine[Any, Any, T]) -> T:
    """Runs requests; ends the command with a sentence where no server answers, or a request is not valid."""
    from bailie.inference.client import ServerUnreachable
    from bailie.inference.codec import BadRequest

    try:
        return run(work)
    except ServerUnreachable as error:
        fail(str(error), hint="is the data plane up? `bailie status`")
    except BadRequest as error:
        fail(f"the request is not valid: {error}", code=ExitCode.USAGE)


@asynccontextmanager
async def _address(plane: DataPlane) -> AsyncIterator[str]:
    """Yields the address that was named, else the way to the namespace's data plane, which is closed."""
    from bailie.local.data_plane import reach

    if plane.host:
        yield plane.host
        return
    reached = await reach(plane.namespace, plane.kubeconfig, plane.state_dir)
    try:
        yield reached.address
    finally:
        reached.close()


def _client(mode: Mode, address: str, timeout: float) -> InferenceClient:
    from bailie.inference.client import GrpcClient, RestClient, grpc_target, rest_url

    if mode is Mode.REST:
        return RestClient(rest_url(address), timeout=timeout)
    try:
        return GrpcClient(grpc_target(address), timeout=timeout)
    except ValueError as error:
        fail(str(error), code=ExitCode.USAGE)


def _show(call: InferCall, answers: list[InferenceAnswer], *, show_headers: bool, output: Output) -> None:
    """Prints one answer whole, and several as counts by outcome and by the version that answered."""
    if call.once:
        answer = answers[0]
        if show_headers:
            for name, value in answer.headers.items():
                say(f"{name}: {value}")
        if answer.ok or not isinstance(answer.body, str):
            print_json(answer.body)
        if not answer.ok:
            fail_with(answer)
        return
    summary = {"success": count_answers(answers, ok=True), "failed": count_answers(answers, ok=False)}
    if output is Output.JSON:
        print_json(summary)
    else:
        for outcome, counts in summary.items():
            if counts:
                text = ", ".join(_counted(outcome, key, number) for key, number in counts.items())
                sys.stdout.write(f"{outcome}: {text}\n")
    if summary["failed"]:
        raise typer.Exit(ExitCode.FAILED)


def _counted(outcome: str, key: str, number: int) -> str:
    """Returns a count so that no number of answers can be taken for a status of HTTP."""
    if key in {_ANSWERED, _UNANSWERED}:
        return f"{number} {key}"
    return f"{number} from {key}" if outcome == "success" else f"{number} with {key}"


def fail_with(answer: InferenceAnswer) -> NoReturn:
    """Ends the command with the words of an answer that says no."""
    from bailie.inference.codec import reason_of

    text = answer.body if isinstance(answer.body, str) else reason_of(answer.body)
    fail(f"{answer.status} {text}".strip(), code=_CODES.get(answer.status, ExitCode.FAILED))


def count_answers(answers: list[InferenceAnswer], *, ok: bool) -> dict[str, int]:
    """Counts the good answers by the version that answered, or the others by their status."""
    counts: dict[str, int] = {}
    for answer in answers:
        if answer.ok is ok:
            key = answer.headers.get(headers.ROUTE, _ANSWERED) if ok else answer.status
            counts[key] = counts.get(key, 0) + 1
    return counts
