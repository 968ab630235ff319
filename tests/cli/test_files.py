"""What `apply` and `delete` read from files: objects, or a sentence with file, document and reason."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer
import yaml
from hypothesis import given
from tests.support.anyjson import ANYTHING, changed

from bailie.cli.files import put_into, read_manifests, refuse_problems
from bailie.cli.readiness import reference_of

MODEL = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "iris"},
    "spec": {"storageUri": "/m"},
}


def read(text, name="x.yaml"):
    """Returns the objects of a file of this text; raises typer.Exit where the command would end."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return list(read_manifests(path))


def test_documents_lists_and_gaps():
    listed = yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": [MODEL, MODEL]})
    text = f"{json.dumps(MODEL)}\n---\n---\n{listed}"
    assert read(text) == [MODEL, MODEL, MODEL]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no object"),
        ("---\n---\n", "holds no object"),
        ("a: [1", "line 1, column 6: not YAML"),
        ("a: 2024-13-45", "is not YAML: month must be in 1..12"),
        ("[" * 5000, "is not YAML: maximum recursion depth"),
        (b"\xff\xfe\x00", "is not"),
        ("a: \x00", "is not YAML: unacceptable character"),
        ("[]", "document 1: not a Kubernetes object"),
        (f"{json.dumps(MODEL)}\n---\n5", "document 2: not a Kubernetes object"),
        ("apiVersion: v1\nkind: 5\nmetadata: {name: a}", "document 1: not a Kubernetes object"),
        ("apiVersion: 1\nkind: Pod\nmetadata: {name: a}", "document 1: not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}", "document 1: not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: []}", "not a Kubernetes object"),
    ],
)
def test_what_is_no_object_is_said_with_itsput_into(capsys, text, message):
    with pytest.raises(typer.Exit) as ended:
        read(text)
    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert message in " ".join(said.split())
    assert "x.yaml" in said


def ends(manifest):
    """Says whether the command would end with a sentence before it sends anything."""
    try:
        found = read(json.dumps(manifest))
        refuse_problems(found)
        for each in found:
            put_into(each, "a")
            assert reference_of(each).endswith(f"/{each['metadata']['name']}")
    except typer.Exit as ended:
        return ended.exit_code == 2
    return False


@given(changed(MODEL) | ANYTHING)
def test_any_json_is_an_object_or_a_sentence(manifest):
    assert ends(manifest) in {True, False}


def test_kinds_that_bailie_does_not_know_are_left_to_kubectl(capsys):
    assert ends({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}})
    assert "use kubectl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("mlops.seldon.io/v1", "Model"),
        ("seldon.io/v1alpha1", "Model"),
        ("mlops.seldon.io/v1alpha1", "model"),
        ("mlops.seldon.io/v1alpha1", "Models"),
        ("v1", "Modle"),
    ],
)
def test_the_kind_that_was_meant_is_told(capsys, version, kind):
    assert ends({**MODEL, "apiVersion": version, "kind": kind})
    said = capsys.readouterr().err
    assert f"{version} {kind} is not a kind that Bailie uses" in said
    assert "write apiVersion: mlops.seldon.io/v1alpha1 and kind: Model\n" in said


def test_two_objects_of_one_name_are_told(capsys):
    elsewhere = {**MODEL, "metadata": {"name": "iris", "namespace": "b"}}
    refuse_problems([MODEL, MODEL, elsewhere])
    assert capsys.readouterr().err == "warning: model/iris is in the files 2 times: the last one counts\n"


def test_every_problem_is_told_and_a_warning_stops_nothing(capsys):
    assert not ends({**MODEL, "spec": {"storageUri": "/m", "logger": {}}})
    assert "warning: model/iris: spec.logger: has no effect" in capsys.readouterr().err
    assert ends({**MODEL, "spec": {"storageUri": "", "replicas": "3", "logger": {}}})
    said = capsys.readouterr().err
    assert "error: model/iris: spec.replicas" in said
    assert "nothing was applied" in said
