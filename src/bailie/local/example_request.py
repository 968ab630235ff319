"""A request of the right shape for a model, and how to send it. Pure but for the child that is asked.

Called by `cli.serve`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.local.artifact_kind import RecognisedArtifact

SIGNATURE_SCRIPT = Path(__file__).with_name("signature.py")
"""Run by the inference server's Python; never imported."""
MOST_ELEMENTS = 10_000
"""Of an example; an input that is larger gets none."""
_UNKNOWN = ({"name": "input-0", "datatype": "FP32", "shape": [1, 1]},)
_ONE = {"BOOL": True, "BYTES": "text"}
_LONGEST_ANSWER = 1 << 20


class SignatureQuestion:
    """Asks a child process which inputs the artifact's model takes, while other things go on."""

    def __init__(self, artifact: RecognisedArtifact, python: Path) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if artifact.file is None or artifact.inputs:
            return
        command = [python, "-I", SIGNATURE_SCRIPT, artifact.requirement, artifact.file]
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def answer(self, seconds: float) -> tuple[dict[str, Any], ...]:
        """Returns the inputs, none where the child does not say within `seconds`. Ends the child."""
        if self._process is None:
            return ()
        try:
            found = json.loads(self._told(self._process, time.monotonic() + seconds))
            return tuple(each for each in found if isinstance(each, dict))
        except (ValueError, TypeError, RecursionError):
            return ()
        finally:
            self.close()

    @staticmethod
    def _told(process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Returns all that the child writes; nothing where that does not end in time, or is too long."""
        if process.stdout is None:
            return b""
        told, descriptor = b"", process.stdout.fileno()
        while len(told) < _LONGEST_ANSWER:
            if not select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))[0]:
                return b""
            piece = os.read(descriptor, _LONGEST_ANSWER)
            if not piece:
                return told
            told += piece
        return b""

    def close(self) -> None:
        """Ends the child."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


def example_request(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a request of one row for these inputs (metadata of the protocol); with made-up values.

    Inputs that are not understood make it a request of one number.
    """
    try:
        tensors = [_tensor(each) for each in inputs]
    except (KeyError, TypeError, ValueError):
        tensors = []
    body: dict[str, Any] = {"inputs": tensors or [_tensor(each) for each in _UNKNOWN]}
    if tensors and all((each.get("parameters") or {}).get("content_type") == "pd" for each in inputs):
        body["parameters"] = {"content_type": "pd"}
    return body


def _tensor(stated: dict[str, Any]) -> dict[str, Any]:
    shape = [max(int(size), 1) for size in stated["shape"]] or [1]
    datatype = str(stated["datatype"])
    elements = prod(shape)
    if elements > MOST_ELEMENTS:
        raise ValueError(f"{elements} elements are too many for an example")
    tensor: dict[str, Any] = {"name": str(stated["name"]), "shape": shape, "datatype": datatype}
    if datatype == "BYTES":
        tensor["parameters"] = {"content_type": "str"}
    tensor["data"] = [_ONE.get(datatype, 0.0 if datatype.startswith("FP") else 0)] * elements
    return tensor


def curl_command(url: str, model: str, body: dict[str, Any]) -> str:
    """Returns the request as a command of a shell."""
    data = json.dumps(body).replace("'", "'\\''")
    return f"curl {url}/v2/models/{model}/infer -H 'content-type: application/json' -d '{data}'"


def python_program(url: str, model: str, body: dict[str, Any]) -> str:
    """Returns the request as a program with `bailie.client`."""
    tensors = body["inputs"]
    values = {each["name"]: _nested(each["data"], each["shape"]) for each in tensors}
    data = repr(values if len(tensors) > 1 else next(iter(values.values())))
    if "parameters" in body:
        data = f"{values!r}, parameters={body['parameters']!r}"
    return (
        "from bailie.client import Client\n\n"
        f'with Client("{url}") as client:\n'
        f'    print(client.model("{model}").infer({data}).outputs)'
    )


def _nested(data: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) <= 1:
        return data
    step = len(data) // shape[0]
    return [_nested(data[at : at + step], shape[1:]) for at in range(0, len(data), step)]
