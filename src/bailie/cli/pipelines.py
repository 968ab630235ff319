"""`bailie pipeline show`: a pipeline's graph as a picture. Put together with its siblings by `pipeline`."""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.files import read_objects
from bailie.cli.one_word import pipeline_name
from bailie.cli.output import ExitCode, fail, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bailie.api.pipeline import Pipeline
    from bailie.dataflow import PipelinePlan
    from bailie.drawing.picture import GraphPicture

_COLUMNS = 110
"""Of a picture where no terminal says how wide it is."""

PipelineName = Annotated[
    str | None, typer.Argument(parser=pipeline_name, metavar="[NAME]", help="The Pipeline's name.")
]
PipelineFile = Annotated[
    Path | None,
    typer.Option("-f", "--filename", help="Take it from a YAML or JSON file; `-` is standard input."),
]


class PictureForm(StrEnum):
    """The form of a picture."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"


def show(
    name: PipelineName = None,
    *,
    filename: PipelineFile = None,
    output: Annotated[
        PictureForm, typer.Option("-o", "--output", help="Form of the picture.")
    ] = PictureForm.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Draw the graph of a Pipeline, of the namespace or of a file, with the mistakes in it.

    Joins, triggers, renamed tensors, batches, side branches and the pipelines that follow are in the picture;
    of a pipeline of the namespace also the edges whose two models name other tensors than each other.
    A graph that is too wide for the terminal is a list. Exit code 1 where a mistake keeps it from running.

    Examples:

      bailie pipeline show tfsimples

      bailie pipeline show -f pipeline.yaml

      bailie pipeline show tfsimples -o svg > tfsimples.svg
    """
    from bailie.dataflow import compile_pipeline
    from bailie.drawing.picture import picture_of

    found, others = choose(name, filename, lambda: _from_api(name, namespace, (kubeconfig, state_dir)))
    pictures = [picture_of(each, others) for each in found]
    _show(pictures, output)
    if any(compile_pipeline(each).errors for each in found):
        raise typer.Exit(ExitCode.FAILED)


Chosen = tuple[list["Pipeline"], "Mapping[str, PipelinePlan]"]


def choose(name: str | None, filename: Path | None, from_api: Callable[[], Chosen]) -> Chosen:
    """Returns the Pipelines of a file (the named one where a name is given), else that of the API.

    With it come the plans of all Pipelines there, for those that follow.
    """
    if filename is None:
        if name is None:
            fail("name a Pipeline, or a file with -f", code=ExitCode.USAGE)
        return from_api()
    found = (each.manifest for each in read_objects([filename]))
    manifests = [each for each in found if each["kind"] == "Pipeline"]
    if not manifests:
        fail(f"{filename} has no Pipeline", code=ExitCode.USAGE)
    chosen = [each for each in manifests if name in {None, each["metadata"]["name"]}]
    if not chosen:
        there = ", ".join(str(each["metadata"]["name"]) for each in manifests)
        fail(f"{filename} has no Pipeline {name}", hint=f"there is {there}", code=ExitCode.NOT_FOUND)
    return [drawable(each) for each in chosen], plans_of(manifests)


def chosen_pipeline(
    name: str | None, filename: Path | None, namespace: str | None, cluster: tuple[Path | None, Path | None]
) -> Pipeline:
    """Returns the one Pipeline that the arguments mean; ends the command where a file has several."""
    found, _ = choose(name, filename, lambda: _from_api(name, namespace, cluster))
    if len(found) > 1:
        names = ", ".join(each.metadata.name for each in found)
        fail(f"{filename} has several Pipelines", hint=f"name one of {names}", code=ExitCode.USAGE)
    return found[0]


def drawable(manifest: dict[str, Any]) -> Pipeline:
    """Returns a Pipeline whose graph may have mistakes; ends the command where fields have none of the types
    that they must have."""
    from pydantic import ValidationError

    from bailie.api.parsing import TooDeepError, without_nulls
    from bailie.api.pipeline import Pipeline, PipelineStatus

    body = {key: value for key, value in manifest.items() if key != "status"}
    try:
        found = Pipeline.read(without_nulls(body))
        return found.model_copy(update={"status": PipelineStatus.told(manifest.get("status"))})
    except (ValidationError, TooDeepError):
        problems = Pipeline.parse(body)[1]
        fail("; ".join(str(each) for each in problems), code=ExitCode.USAGE)


def plans_of(manifests: Sequence[dict[str, Any]]) -> dict[str, PipelinePlan]:
    """Returns the plans of the Pipelines that have one, by name."""
    from bailie.api.pipeline import Pipeline
    from bailie.dataflow import compile_pipeline

    parsed = [Pipeline.parse_without_status(each)[0] for each in manifests]
    compiled = {each.metadata.name: compile_pipeline(each).plan for each in parsed if each is not None}
    return {name: plan for name, plan in compiled.items() if plan is not None}


def _from_api(name: str | None, namespace: str | None, cluster: tuple[Path | None, Path | None]) -> Chosen:
    async def read() -> list[dict[str, Any]]:
        from bailie.api.kinds import PIPELINE

        async with connected(*cluster) as client:
            place = namespace or client.namespace
            chosen = await client.get(PIPELINE, str(name), place)
            return [chosen, *(await client.list(PIPELINE, place)).items]

    chosen, *others = run(read())
    return [drawable(chosen)], plans_of(others)


def text_picture(picture: GraphPicture) -> str:
    """Returns a picture for this terminal: as wide as it is, in ASCII where it has no Unicode."""
    from bailie.drawing.terminal import text_of

    columns = shutil.get_terminal_size((_COLUMNS, 24)).columns
    return text_of(picture, columns=columns, ascii_only=not _has_unicode())


def _has_unicode() -> bool:
    try:
        "┌▼→✓".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _show(pictures: Sequence[GraphPicture], output: PictureForm) -> None:
    if output is PictureForm.JSON:
        found = [each.data() for each in pictures]
        print_json(found if len(found) > 1 else found[0])
        return
    if output is PictureForm.SVG and len(pictures) > 1:
        names = ", ".join(each.name for each in pictures)
        fail("an SVG has one picture", hint=f"name one of {names}", code=ExitCode.USAGE)
    for picture in pictures:
        if len(pictures) > 1 and output is PictureForm.TEXT:
            sys.stdout.write(f"pipeline {picture.name}\n")
        sys.stdout.write(_text(picture, output))


def _text(picture: GraphPicture, output: PictureForm) -> str:
    from bailie.drawing.mermaid import mermaid_of
    from bailie.drawing.svg import TooLarge, svg_of

    if output is PictureForm.TEXT:
        return text_picture(picture)
    if output is PictureForm.MERMAID:
        return mermaid_of(picture)
    try:
        return svg_of(picture)
    except TooLarge as error:
        fail(str(error), hint="-o mermaid and -o json have no such limit", code=ExitCode.USAGE)
