"""What the documents tell people to type and to write is what the programs take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
import yaml
from tests.support.charts import CHARTS, render
from tests.support.documents import DOCUMENTS, ROOT, blocks, commands, spans, split
from typer._click.exceptions import BadOptionUsage, MissingParameter, UsageError  # typer brings its own click

from bailie.api.experiment import Experiment
from bailie.api.model import Model
from bailie.api.pipeline import Pipeline
from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.cli.app import app
from bailie.cli.processes import PROCESSES
from bailie.cli.seldon.app import app as seldon_app
from bailie.cli.seldon.app import as_typed

KINDS = {
    kind.__name__: kind
    for kind in (Model, Pipeline, Experiment, Server, ServerConfig, SeldonConfig, SeldonRuntime)
}
PROGRAMS = {"bailie": typer.main.get_command(app), "seldon": typer.main.get_command(seldon_app)}
by_document = pytest.mark.parametrize("document", DOCUMENTS)


def understood(arguments, *, program="bailie", whole=True):
    """Has the command line parsed, but not run; returns what is wrong with it.

    What is not whole may lack arguments, its own and those of its options.
    """
    command, name, arguments = PROGRAMS[program], program, as_typed(list(arguments))
    if (
        program == "bailie" and arguments and arguments[0] in PROCESSES
    ):  # they read their arguments by themselves
        return ""
    while hasattr(command, "commands"):
        if not arguments and not whole:
            return ""
        if not arguments or arguments[0] not in command.commands:
            return f"there is no command {' '.join([name, *arguments[:1]])}"
        word = arguments.pop(0)
        command, name = command.commands[word], f"{name} {word}"
    try:
        command.make_context(name, arguments)
    except (MissingParameter, BadOptionUsage) as error:
        return f"{name}: {error.format_message()}" if whole else ""
    except UsageError as error:
        return f"{name}: {error.format_message()}"
    return ""


@by_document
def test_commands_of_bailie_are_understood(document):
    found = [(Path(words[0]).name, words[1:]) for words in commands(document)]
    found = [(program, words) for program, words in found if program in PROGRAMS]
    assert [problem for program, words in found if (problem := understood(words, program=program))] == []


@by_document
def test_commands_of_bailie_in_the_prose_are_understood(document):
    lines = [text.replace("…", "") for text in spans(document) if re.match(r"(bailie|seldon) [a-z]", text)]
    found = [words for line in lines for words in split(line) if words[0] in PROGRAMS]
    given = [
        (program, [word.lower() if re.fullmatch("[A-Z]+", word) else word for word in words])
        for program, *words in found
    ]
    problems = [understood(words, program=program, whole=False) for program, words in given]
    assert [problem for problem in problems if problem] == []


@by_document
def test_charts_take_what_helm_is_told(document):
    for words in commands(document):
        if words[:2] in (["helm", "install"], ["helm", "upgrade"]):
            release(words)


def release(words):
    """Renders the chart as the command does. Raises what Helm would say; no value may be without effect."""
    options, [name, chart] = helm_options(words[2:])
    assert (ROOT / chart).is_dir(), chart
    values: dict = {}
    for path in options.get("-f", ()):
        values |= yaml.safe_load((ROOT / path).read_text())
    for assignment in options.get("--set", ()):
        assign(values, assignment)
    namespace = options["--namespace"][0] if "--namespace" in options else options["-n"][0]
    known = {
        "-f",
        "--set",
        "--namespace",
        "-n",
        "--create-namespace",
        "--install",
        "--reuse-values",
        "--wait",
    }
    assert options.keys() <= known
    assert re.fullmatch(r"[a-z0-9-]+", name), name
    chart = Path(chart).name.removeprefix("seldon-core-v2-")
    rendered = render(chart, values, name=name, namespace=namespace)
    assert "no effect" not in rendered.notes, rendered.notes
    return rendered


def helm_options(words):
    options, rest, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        if word in {"--create-namespace", "--install", "--reuse-values", "--wait"}:
            options[word] = [""]
        elif word.startswith("-"):
            name, given, value = word.partition("=")
            options.setdefault(name, []).append(value if given else words.pop(0))
        else:
            rest.append(word)
    return options, rest


def assign(values, assignment):
    """Does what `--set a.b={x,y}` does."""
    path, _, text = assignment.partition("=")
    assert path
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    listed = re.fullmatch(r"\{(.*)\}", text)
    values[last] = listed[1].split(",") if listed else yaml.safe_load(text)


def test_a_value_that_a_chart_does_not_know_is_found():
    with pytest.raises(AssertionError, match="frobnicate"):
        release(split("helm install setup ./charts/seldon-core-v2-setup -n a --set frobnicate=1")[0])


def manifests(document):
    for block in blocks(document):
        if block.language == "yaml":
            for item in yaml.safe_load_all(block.text):
                if isinstance(item, dict) and "apiVersion" in item:
                    yield item


@by_document
def test_resources_are_valid(document):
    for manifest in manifests(document):
        if manifest["apiVersion"].startswith("mlops.seldon.io/"):
            _, problems = KINDS[manifest["kind"]].parse(manifest)
            assert problems == [], manifest["metadata"]["name"]


@by_document
def test_charts_take_the_values_that_files_give_them(document):
    if document.startswith("charts/"):
        chart = Path(document).parent.name.removeprefix("seldon-core-v2-")
        for block in blocks(document):
            if block.language == "yaml":
                assert "no effect" not in render(chart, yaml.safe_load(block.text)).notes
    for manifest in manifests(document):
        for chart, values, namespace in chart_values(manifest):
            assert (CHARTS / chart).is_dir(), chart
            render(chart.removeprefix("seldon-core-v2-"), values, namespace=namespace)


def chart_values(manifest):
    """Yields chart, values and namespace of an Application of Argo CD or a HelmRelease of Flux."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Application":
        for source in spec.get("sources") or [spec["source"]]:
            if source.get("path", "").startswith("charts/"):
                values = source.get("helm", {}).get("valuesObject", {})
                yield Path(source["path"]).name, values, spec["destination"]["namespace"]
    elif manifest["kind"] == "HelmRelease":
        chart = spec["chart"]["spec"]["chart"]
        yield Path(chart).name, spec.get("values", {}), spec["targetNamespace"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate", "there is no command bailie frobnicate"),
        ("up --frobnicate", "bailie up: No such option: --frobnicate"),
        ("logs", "bailie logs: Missing argument 'pod'."),
        ("logs seldon-scheduler-0 -n team-a", ""),
    ],
)
def test_what_is_wrong_with_a_command_is_found(line, expected):
    assert understood(line.split()) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bailie get models -A   # all", [["bailie", "get", "models", "-A"]]),
        ("bailie rbac a | kubectl apply -f -", [["bailie", "rbac", "a"], ["kubectl", "apply", "-f", "-"]]),
        ("X=1 bailie up > out.txt", [["bailie", "up"]]),
        (
            "export KUBECONFIG=$(bailie kubeconfig)",
            [["bailie", "kubeconfig"], ["export", "KUBECONFIG=SUBSTITUTED"]],
        ),
    ],
)
def test_commands_are_found_in_a_line(line, expected):
    assert split(line) == expected


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_has_the_marks_of_a_merge(document):
    lines = (ROOT / document).read_text().splitlines()
    assert not [line for line in lines if line.startswith(("<<<<<<< ", ">>>>>>> ")) or line == "=" * 7]


@by_document
def test_a_request_by_curl_says_that_it_is_json(document):
    """MLServer answers 422 to the form that curl sends otherwise."""
    sent = [words for words in commands(document) if words[0] == "curl" and "-d" in words]
    assert [words for words in sent if "content-type: application/json" not in words] == []
