"""`bailie apply`, `get`, `delete`: the few resource commands for users who have no kubectl at hand."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, object_name, run
from bailie.cli.output import ExitCode, Output, console, fail, print_json, say
from bailie.cli.progress import Progress
from bailie.cli.readiness import reference_of, wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client

Manifest = dict[str, Any]

FIELD_MANAGER = "bailie"
_OF_THE_API = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"})


class Form(StrEnum):
    """How `get` shows objects."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Files = Annotated[
    list[Path], typer.Option("-f", "--filename", help="A YAML or JSON file; `-` is standard input.")
]
KindName = Annotated[str, typer.Argument(help="A kind: model, server, pod, … or its plural or short name.")]


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
    """Create or update the objects in files (server-side apply).

    Every object is validated before the first one is sent. Of objects that were read from a cluster
    (`kubectl get -o yaml`) only what somebody once stated is applied, so that a backup can be restored.

    Examples:

      bailie apply -f examples/iris/model.yaml

      bailie apply -f model.yaml -n financial-staging --wait
    """
    manifests = [stated(manifest) for path in filename for manifest in read_manifests(path)]
    refuse_problems(manifests)

    async def send() -> list[Manifest]:
        async with connected(kubeconfig, state_dir) as client:
            applied = []
            for manifest in manifests:
                put_into(manifest, namespace or client.namespace)
                applied.append(await client.apply(manifest, field_manager=FIELD_MANAGER, force=True))
                if output is Form.TEXT:
                    sys.stdout.write(f"{reference_of(manifest)} applied\n")
            if wait:
                with Progress(shown=output is Form.TEXT) as progress:
                    await wait_ready(client, applied, timeout, progress)
            return applied

    applied = run(send())
    if output is not Form.TEXT:
        _print(applied, output)


def get(
    kind: KindName,
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
    """
    wanted = resolve(kind)

    async def read() -> tuple[list[Manifest], str | None]:
        async with connected(kubeconfig, state_dir) as client:
            place = None if all_namespaces or not wanted.namespaced else namespace or client.namespace
            if name is not None:
                return [await client.get(wanted, name, place)], place
            return (await client.list(wanted, place, labels=selector)).items, place

    found, place = run(read())
    if output is Form.TEXT and not found:
        say(f"no {wanted.plural} found" + (f" in namespace {place}" if place else ""))
    elif output is Form.TEXT:
        _print_table(found)
    else:
        _print(found if name is None else found[0], output)


def delete(
    kind: Annotated[str | None, typer.Argument(help="A kind.")] = None,
    names: Annotated[
        list[str] | None, typer.Argument(parser=object_name, metavar="name", help="Names.")
    ] = None,
    *,
    filename: Annotated[
        list[Path] | None, typer.Option("-f", "--filename", help="Delete the objects in a file.")
    ] = None,
    namespace: Namespace = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="Form of the result.")] = Output.TEXT,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Delete objects by name, or those in files.

    Examples:

      bailie delete model iris

      bailie delete -f examples/iris/model.yaml
    """
    if filename:
        manifests = [manifest for path in filename for manifest in read_manifests(path)]
    elif kind and names:
        wanted = resolve(kind)
        manifests = [
            {"apiVersion": wanted.api_version, "kind": wanted.kind, "metadata": {"name": name}}
            for name in names
        ]
    else:
        fail("name a kind and at least one object, or a file with -f", code=ExitCode.USAGE)

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
            sys.stdout.write("".join(f"{reference} deleted\n" for reference in deleted))
    if absent:
        fail("; ".join(absent), code=ExitCode.NOT_FOUND)


async def delete_objects(
    client: Client, manifests: list[Manifest], namespace: str, tell: Callable[[str], None]
) -> list[str]:
    """Deletes the objects that exist, and prints each; returns a sentence for each that is not."""
    from bailie.kube.errors import NotFound

    absent = []
    for manifest in manifests:
        put_into(manifest, namespace)
        metadata = manifest["metadata"]
        try:
            await client.delete(_kind_of(manifest), metadata["name"], metadata.get("namespace"))
        except NotFound as error:
            absent.append(str(error))
        else:
            tell(reference_of(manifest))
    return absent


def read_manifests(path: Path) -> Iterator[Manifest]:
    """Yields the objects of a YAML or JSON file, lists opened; says which document is none."""
    source = "standard input" if str(path) == "-" else str(path)
    found = False
    for number, document in enumerate(_documents(path, source), 1):
        listed = isinstance(document, dict) and isinstance(document.get("items"), list)
        for item in document["items"] if listed else [document]:
            if item is None:
                continue
            if not _is_object(item):
                text = "not a Kubernetes object (it needs apiVersion, kind and metadata.name, each a string)"
                fail(f"{source}, document {number}: {text}", code=ExitCode.USAGE)
            found = True
            yield item
    if not found:
        fail(f"{source} holds no object", code=ExitCode.USAGE)


def stated(manifest: Manifest) -> Manifest:
    """Returns an object that an API answered (it has a uid) without the fields that only the API writes."""
    if "uid" not in manifest["metadata"]:
        return manifest
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_API}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def _documents(path: Path, source: str) -> list[Any]:
    import yaml

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        return list(yaml.safe_load_all(text))
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}", code=ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{source} is not text", code=ExitCode.USAGE)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fail(f"{source}{place}: not YAML: {error.problem}", code=ExitCode.USAGE)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a 13th month, thousands of levels
        fail(f"{source} is not YAML: {' '.join(str(error).split())}", code=ExitCode.USAGE)


def _is_object(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
        return False
    metadata = item["metadata"]
    needed = (item.get("apiVersion"), item.get("kind"), metadata.get("name"))
    return all(isinstance(text, str) and text for text in needed) and isinstance(
        metadata.get("namespace", ""), str
    )


def refuse_problems(manifests: list[Manifest]) -> None:
    """Tells every problem and warning of the objects; ends the command where there is a problem."""
    from bailie.api.registry import parse

    refused = False
    for manifest in manifests:
        _kind_of(manifest)
        for problem in parse(manifest)[1]:
            warning = problem.reason == "NoEffect"
            say(f"{'warning' if warning else 'error'}: {reference_of(manifest)}: {problem}")
            refused = refused or not warning
    if refused:
        fail("nothing was applied", hint="mend the fields named above", code=ExitCode.USAGE)


def _kind_of(manifest: Manifest) -> Kind:
    from bailie.kube.client import kind_of

    try:
        return kind_of(manifest)
    except ValueError as error:
        fail(str(error), hint="use kubectl for other kinds", code=ExitCode.USAGE)


def resolve(word: str) -> Kind:
    """Returns the kind that a word means: its name, plural or short name, in any case."""
    from bailie.api import kinds

    known = [kind for kind in vars(kinds).values() if isinstance(kind, kinds.Kind)]
    short = {"mlm": "Model", "mlp": "Pipeline", "mlx": "Experiment", "mls": "Server", "mlc": "ServerConfig"}
    short |= {"po": "Pod", "svc": "Service", "cm": "ConfigMap", "ns": "Namespace", "ev": "Event"}
    wanted = short.get(word.lower(), word).lower()
    found = next((kind for kind in known if wanted in (kind.kind.lower(), kind.plural)), None)
    if found is None:
        fail(
            f"{word!r} is not a kind that Bailie uses",
            hint=f"known are {', '.join(sorted(kind.plural for kind in known))}",
            code=ExitCode.USAGE,
        )
    return found


def put_into(manifest: Manifest, namespace: str) -> None:
    """Sets the namespace of a namespaced object that states none."""
    if _kind_of(manifest).namespaced:
        manifest["metadata"].setdefault("namespace", namespace)


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

    from bailie.local.readiness import condition

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAMESPACE", "NAME", "READY", "REASON", "MESSAGE", "CREATED"):
        table.add_column(column, overflow="fold")
    for item in found:
        ready = condition(item, "Ready")
        metadata = item["metadata"]
        known = any(entry.get("type") == "Ready" for entry in item.get("status", {}).get("conditions", []))
        table.add_row(
            metadata.get("namespace", ""),
            metadata["name"],
            ready["status"] if known else "",
            ready.get("reason", ""),
            ready.get("message", ""),
            metadata.get("creationTimestamp", ""),
        )
    console().print(table)
