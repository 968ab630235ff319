"""`bailie apply`, `get`, `delete`: the few resource commands for users who have no kubectl at hand."""

from __future__ import annotations

import sys
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.applying import apply_all
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, object_name, run
from bailie.cli.files import kind_words, known_objects, put_into, resolve, served_kind, valid_objects
from bailie.cli.one_word import kind_and_name
from bailie.cli.output import ExitCode, Output, console, fail, print_json, say, write
from bailie.cli.progress import Progress
from bailie.cli.readiness import has_readiness, reference_of, wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.kube.client import Client

Manifest = dict[str, Any]

_SHOWN = 3
"""Objects that a warning names."""


class Form(StrEnum):
    """How `get` shows objects."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Files = Annotated[
    list[Path],
    typer.Option("-f", "--filename", help="A YAML or JSON file, or a folder; `-` is standard input."),
]
KindName = Annotated[
    str | None,
    typer.Argument(
        help="A kind: model, server, pod, … or its plural or short name.", autocompletion=kind_words
    ),
]


def apply(
    filename: Files,
    *,
    namespace: Namespace = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the objects are ready.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds that --wait waits.")] = 60.0,
    output: Annotated[Form, typer.Option("-o", "--output", help="Form of the result.")] = Form.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Create or update the objects in files (server-side apply): all of them, or none.

    Every object is checked here, and tried by the API server (dryRun), before the first one is written. Of a
    folder the files that end in .yaml, .yml or .json are read. Of objects that were read from a cluster
    (`kubectl get -o yaml`) only what somebody once stated is applied, so that a backup can be restored.

    Examples:

      bailie apply -f examples/iris/model.yaml

      bailie apply -f examples/on-a-cluster

      bailie apply -f model.yaml -n financial-staging --wait
    """
    found = valid_objects(filename)

    def tell(manifest: Manifest) -> None:
        if output is Form.TEXT:
            write(f"{reference_of(manifest)} applied")

    async def send() -> list[Manifest]:
        async with connected(kubeconfig, state_dir) as client:
            applied = await apply_all(client, found, namespace or client.namespace, tell)
            await _warn_of_unserved(client, applied)
            if wait:
                with Progress(shown=output is Form.TEXT) as progress:
                    await wait_ready(client, applied, timeout, progress)
            return applied

    applied = run(send())
    if output is not Form.TEXT:
        _print(applied, output)


async def _warn_of_unserved(client: Client, applied: list[Manifest]) -> None:
    """Says where no operator serves a namespace, so that nothing acts on objects there.

    Nothing is said where that is not known, of a namespace that gets its SeldonRuntime with the objects, and
    of one that Seldon Core serves.
    """
    from bailie.doctor.installation import claim_on
    from bailie.doctor.upstream import seldon_operator_in, seldon_scheduler_of
    from bailie.kube.errors import ApiError

    objects: dict[str, list[Manifest]] = defaultdict(list)
    for each in filter(has_readiness, applied):
        objects[each["metadata"]["namespace"]].append(each)
    for namespace, here in objects.items():
        if any(each["kind"] == "SeldonRuntime" for each in here):
            continue
        try:
            claim = await claim_on(client, namespace)
            if claim is not None and claim.fresh:
                continue
            if await seldon_operator_in(client, namespace) or await seldon_scheduler_of(client, namespace):
                continue
        except ApiError:
            continue
        told = ", ".join(map(reference_of, here[:_SHOWN])) + (", …" if len(here) > _SHOWN else "")
        say(
            f"warning: no operator serves namespace {namespace}, so nothing acts on {told} there:"
            f" `bailie scope list` shows those that are served, `bailie scope add {namespace}` adds it"
        )


def get(
    kind: KindName = None,
    name: Annotated[
        str | None, typer.Argument(parser=object_name, metavar="name", help="One object.")
    ] = None,
    *,
    namespace: Namespace = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="In every namespace.")
    ] = False,
    selector: Annotated[str | None, typer.Option("-l", "--selector", help="A label selector.")] = None,
    output: Annotated[Form, typer.Option("-o", "--output", help="Form of the result.")] = Form.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Show objects.

    Examples:

      bailie get models -A

      bailie get model iris -o yaml

      bailie get model/iris
    """
    if kind is None:
        hint = "`bailie get models`, or `bailie get model NAME`; `bailie get -h` says more"
        fail("no kind was given", hint=hint, code=ExitCode.USAGE)
    if name is None:
        kind, name = kind_and_name(kind) or (kind, None)
    wanted = resolve(kind)

    async def read() -> tuple[list[Manifest], str | None]:
        async with connected(kubeconfig, state_dir) as client:
            place = None if all_namespaces or not wanted.namespaced else namespace or client.namespace
            if name is not None:
                return [await client.get(wanted, name, place)], place
            return (await client.list(wanted, place, labels=selector)).items, place

    found, place = run(read())
    for each in found:
        each["metadata"].pop("managedFields", None)  # as kubectl: ten times as long as what people wrote
    if output is Form.TEXT and not found:
        say(f"no {wanted.plural} found" + (f" in namespace {place}" if place else ""))
    elif output is Form.TEXT:
        _print_table(found)
    else:
        _print(found if name is None else found[0], output)


def delete(
    kind: KindName = None,
    names: Annotated[
        list[str] | None, typer.Argument(parser=object_name, metavar="name", help="Names.")
    ] = None,
    *,
    filename: Annotated[
        list[Path] | None, typer.Option("-f", "--filename", help="Delete the objects in a file or folder.")
    ] = None,
    namespace: Namespace = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Delete objects by name, or those in files.

    Examples:

      bailie delete model iris

      bailie delete model/iris

      bailie delete -f examples/iris/model.yaml
    """
    if filename and kind:
        fail("name a kind and its objects, or files with -f, not both", code=ExitCode.USAGE)
    if kind and not names and (found := kind_and_name(kind)):
        kind, names = found[0], [found[1]]
    if filename:
        manifests = [each.manifest for each in known_objects(filename)]
    elif kind and names:
        wanted = resolve(kind)
        manifests = [
            {"apiVersion": wanted.api_version, "kind": wanted.kind, "metadata": {"name": name}}
            for name in names
        ]
    else:
        hint = "`bailie delete model iris`, or `bailie delete -f model.yaml`"
        fail("name a kind and at least one object, or a file with -f", hint=hint, code=ExitCode.USAGE)

    async def remove() -> list[str]:
        async with connected(kubeconfig, state_dir) as client:
            return await delete_objects(client, manifests, namespace or client.namespace, deleted.append)

    deleted: list[str] = []
    try:
        absent = run(remove())
    finally:  # what was deleted is told, whatever became of the rest
        if output is Output.JSON:
            print_json({"deleted": deleted})
        else:
            for reference in deleted:
                write(f"{reference} deleted")
    if absent:
        fail("; ".join(absent), code=ExitCode.NOT_FOUND)


async def delete_objects(
    client: Client, manifests: list[Manifest], namespace: str, tell: Callable[[str], None]
) -> list[str]:
    """Deletes the objects, and tells of each one; returns a sentence for each that is not there."""
    from bailie.kube.errors import NotFound

    absent = []
    for manifest in manifests:
        put_into(manifest, namespace)
        metadata = manifest["metadata"]
        try:
            await client.delete(served_kind(manifest), metadata["name"], metadata.get("namespace"))
        except NotFound as error:
            absent.append(str(error))
        else:
            tell(reference_of(manifest))
    return absent


def _print(value: list[Manifest] | Manifest, form: Form) -> None:
    if form is Form.JSON:
        print_json(value)
        return
    import yaml

    many = isinstance(value, list)
    sys.stdout.write(
        yaml.safe_dump_all(value, sort_keys=False) if many else yaml.safe_dump(value, sort_keys=False)
    )


def _print_table(found: list[Manifest]) -> None:
    from rich.table import Table

    from bailie.api.status import told_condition
    from bailie.local.readiness import condition

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "NAME", "READY", "REASON", "MESSAGE", "CREATED"):
        table.add_column(column, overflow="fold")
    for item in found:
        ready = condition(item, "Ready")
        metadata = item["metadata"]
        known = told_condition(item, "Ready")
        table.add_row(
            metadata.get("namespace", ""),
            metadata["name"],
            ready["status"] if known else "",
            ready.get("reason", ""),
            ready.get("message", ""),
            metadata.get("creationTimestamp", ""),
        )
    console().print(table)
