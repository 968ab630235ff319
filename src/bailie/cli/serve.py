"""`bailie serve`: from a model's file or folder to an answer, in one command on this machine."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bailie.cli.applying import FIELD_MANAGER
from bailie.cli.cluster import Namespace, StateDir, connected, object_name, state_directory
from bailie.cli.files import FoundObject, refuse_mistakes
from bailie.cli.output import Output, fail, failures_explained, print_json, say
from bailie.cli.progress import Progress
from bailie.cli.readiness import failure_of, wait_ready
from bailie.wellknown import labels

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bailie.inference.client import InferenceAnswer
    from bailie.kube.client import Client
    from bailie.local.artifact_kind import RecognisedArtifact
    from bailie.local.example_request import SignatureQuestion
    from bailie.local.settings import LocalSettings
    from bailie.local.state import StateDirectory

_NAME_LENGTH = 63
_MEBIBYTE = 1 << 20
_LEAST_MEMORY = 10
"""Mebibytes that a small model reserves; the agent measures how much a model takes."""
_SIGNATURE_SECONDS = 10.0
"""For how long the example waits for the model's signature once the model is ready."""
_ANSWER_SECONDS = 30.0


class Served(NamedTuple):
    """A model that is ready: where, an example request, and the answer to it."""

    name: str
    namespace: str
    url: str
    request: dict[str, Any]
    answer: InferenceAnswer


def serve(
    path: Annotated[Path, typer.Argument(help="A model's file or folder.")],
    *,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", parser=object_name, metavar="NAME", help="The model's name.", show_default="the file's"
        ),
    ] = None,
    namespace: Namespace = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds that each wait may take.")
    ] = 120.0,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    state_dir: StateDir = None,
) -> None:
    """Serve a model from a file or folder, and show how to ask it.

    Finds out which runtime the model is for, starts `bailie up` where none runs, applies a Model, waits until
    it answers, and prints an example request and its answer. The kind is found by the names of files: joblib
    and pickle (scikit-learn), ubj, json and bst (XGBoost, LightGBM), MLmodel (MLflow), a `*.py` with a class
    of MLServer, or a model-settings.json.

    Examples:

      bailie serve model.joblib

      bailie serve /tmp/iris --name iris -n financial-staging
    """
    from bailie.local.artifact_kind import recognise_artifact
    from bailie.local.example_request import SignatureQuestion
    from bailie.local.settings import LocalSettings

    begun, state = time.monotonic(), state_directory(state_dir)
    with failures_explained(), ExitStack() as stack:
        artifact = recognise_artifact(path.absolute())
        settings = LocalSettings(state_directory=state.root)
        _check(artifact, settings, running=state.running())
        manifest = model_manifest(artifact, name or _name_of(path))
        refuse_mistakes([FoundObject(manifest)])
        # Both children are asked at once: on a quick machine they take longer than everything else.
        python = settings.mlserver_environment / "bin" / "python"
        question = stack.enter_context(closing(SignatureQuestion(artifact, python)))
        threads = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        fits = threads.submit(_check_runtime, artifact, settings.mlserver_environment)
        progress = stack.enter_context(Progress(shown=output is Output.TEXT))
        if not state.running():
            fits.result()
        _ensure_running(state, settings, timeout, progress)
        wait = _Wait(timeout, progress, question, artifact, fits)
        served = asyncio.run(_serve(state, manifest, namespace, wait))
    _show(artifact, served, time.monotonic() - begun, output)


class _Wait(NamedTuple):
    """The parts that the wait for a model needs."""

    timeout: float
    progress: Progress
    question: SignatureQuestion
    artifact: RecognisedArtifact
    fits: Future[None]


def _check(artifact: RecognisedArtifact, settings: LocalSettings, *, running: bool) -> None:
    """Raises LocalError when the model could not be loaded here, before anything is started."""
    from bailie.local.errors import LocalError
    from bailie.local.settings import missing_parts
    from bailie.wellknown import variables

    if missing := missing_parts(settings):
        raise LocalError(missing[0])
    if not running and not any(artifact.path.is_relative_to(root) for root in settings.local_roots):
        roots = ", ".join(map(str, settings.local_roots))
        raise LocalError(
            f"{artifact.path} is in no folder that models may come from; these are {roots}",
            hint=f"move the model there, or name its folder in {variables.LOCAL_ROOTS}",
        )


def _check_runtime(artifact: RecognisedArtifact, environment: Path) -> None:
    """Raises LocalError when MLServer's environment has no runtime for the model."""
    from bailie.local.errors import LocalError
    from bailie.local.mlserver_runtimes import installed

    requirement = artifact.requirement
    if requirement not in installed(environment):
        pip = f"{environment / 'bin' / 'python'} -m pip install mlserver-{requirement}==1.7.1"
        raise LocalError(
            f"{artifact.path} needs MLServer's runtime {requirement}, which is not in {environment}",
            hint=f"`{pip}`, then `bailie down` and `bailie up`",
        )


def model_manifest(artifact: RecognisedArtifact, name: str) -> dict[str, Any]:
    """Returns the Model of an artifact, with as much memory as its files have."""
    mebibytes = max(_LEAST_MEMORY, -(-artifact.size // _MEBIBYTE))
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "annotations": {labels.FILES: artifact.mark}},
        "spec": {
            "storageUri": str(artifact.path),
            "requirements": [artifact.requirement],
            "memory": f"{mebibytes}Mi",
        },
    }


def _name_of(path: Path) -> str:
    """Returns a name of a Model made from the file's or folder's name."""
    whole = path.absolute()
    text = whole.name if whole.is_dir() else whole.stem
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_NAME_LENGTH].strip("-")
    if not name:
        fail(f"{path.name} gives no name for a model", hint="choose one with --name")
    return name


def _ensure_running(
    state: StateDirectory, settings: LocalSettings, timeout: float, progress: Progress
) -> None:
    from bailie.local import detached
    from bailie.local.errors import LocalError

    if not state.running():
        detached.start(settings, timeout=timeout, progress=progress)
    if not state.kubeconfig.exists():
        raise LocalError(f"`bailie up` of {state.root} is just starting", hint="try again when it is ready")


async def _serve(
    state: StateDirectory, manifest: dict[str, Any], namespace: str | None, wait: _Wait
) -> Served:
    from bailie.local.status import inference_address

    async with connected(state.kubeconfig, None) as client:
        place = namespace or client.namespace
        await _refuse_unwatched(client, place)
        await asyncio.wrap_future(wait.fits)
        manifest["metadata"]["namespace"] = place
        await _make_way(client, manifest)
        applied = await client.apply(manifest, field_manager=FIELD_MANAGER, force=True)
        await wait_ready(client, [applied], wait.timeout, wait.progress, patient=False)
        url = f"http://{await inference_address(client, place)}"
    name = manifest["metadata"]["name"]
    request, answer = await _ask(url, name, wait)
    return Served(name, place, url, request, answer)


async def _make_way(client: Client, manifest: dict[str, Any]) -> None:
    """Deletes the Model that an earlier call made, if the files have changed since, or it failed.

    With the same spec nothing would be loaded anew, or not soon. A Model that somebody else made is only
    changed.
    """
    from bailie.api.kinds import MODEL
    from bailie.kube.errors import NotFound

    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    with suppress(NotFound):
        present = await client.get(MODEL, name, namespace)
        same_place = (present.get("spec") or {}).get("storageUri") == manifest["spec"]["storageUri"]
        files = _files_of(present)
        if files and same_place and (failure_of(present) or files != _files_of(manifest)):
            await client.delete(MODEL, name, namespace, uid=present["metadata"]["uid"])


def _files_of(model: dict[str, Any]) -> object:
    return (model["metadata"].get("annotations") or {}).get(labels.FILES)


async def _refuse_unwatched(client: Client, namespace: str) -> None:
    from bailie.local.bootstrap import watched
    from bailie.local.errors import LocalError

    served = await watched(client)
    if namespace not in served:
        raise LocalError(
            f"namespace {namespace} is not served; those that are: {', '.join(served) or 'none'}",
            hint=f"`bailie scope add {namespace} --wait`",
        )


async def _ask(url: str, name: str, wait: _Wait) -> tuple[dict[str, Any], InferenceAnswer]:
    """Returns an example request and its answer. The inputs are those that the artifact states, else the
    server's metadata, else those that the model itself knows."""
    from bailie.inference.client import RestClient, ServerUnreachable
    from bailie.local.errors import LocalError
    from bailie.local.example_request import example_request

    client = RestClient(url, timeout=_ANSWER_SECONDS)
    try:
        told = (await client.metadata(name)).body
        stated = told.get("inputs") if isinstance(told, dict) else None
        inputs = wait.artifact.inputs or stated
        if not inputs:
            inputs = await asyncio.to_thread(wait.question.answer, _SIGNATURE_SECONDS)
        request = example_request(inputs)
        return request, await client.infer(name, request)
    except ServerUnreachable as error:
        raise LocalError(str(error), hint="the model is ready; see `bailie status` for the rest") from error
    finally:
        await client.close()


def _show(artifact: RecognisedArtifact, served: Served, seconds: float, output: Output) -> None:
    from bailie.inference.codec import reason_of
    from bailie.local.example_request import curl_command, python_program

    answer = served.answer
    if output is Output.JSON:
        print_json(
            {
                "model": served.name,
                "namespace": served.namespace,
                "requirement": artifact.requirement,
                "url": served.url,
                "request": served.request,
                "status": answer.status,
                "answer": answer.body,
                "seconds": round(seconds, 2),
            }
        )
        return
    kind = f"{artifact.requirement}{f', {artifact.file}' if artifact.file else ''}"
    say(f"{served.name} answers in namespace {served.namespace} after {seconds:.1f} s ({kind})\n")
    sys.stdout.write(f"{curl_command(served.url, served.name, served.request)}\n\n")
    sys.stdout.write(f"{python_program(served.url, served.name, served.request)}\n\n")
    if answer.ok:
        print_json(answer.body)
    else:
        text = answer.body if isinstance(answer.body, str) else reason_of(answer.body)
        say(f"note: to these made-up values the server says {answer.status} {text}")
