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

from bailie.cli.files import (
    FoundObject,
    known_objects,
    put_into,
    read_objects,
    refuse_mistakes,
    valid_objects,
)
from bailie.cli.readiness import reference_of

MODEL = {
    "apiVersion": "mlops.seldon.io/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "iris"},
    "spec": {"storageUri": "/m"},
}


VERSION = MODEL["apiVersion"]
NO_OBJECT = "not a Kubernetes object (it needs apiVersion, kind and metadata.name, each a string)"
MEANT = f"write apiVersion: {VERSION} and kind: Model"


def read(text, name="x.yaml"):
    """Returns the objects of a file of this text; raises typer.Exit where the command would end."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return [each.manifest for each in read_objects([path])]


def test_documents_lists_and_gaps():
    listed = yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": [MODEL, MODEL]})
    text = f"{json.dumps(MODEL)}\n---\n---\n{listed}"
    assert read(text) == [MODEL, MODEL, MODEL]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no object"),
        ("---\n---\n", "holds no object"),
        ("a: [1", "line 1: not YAML that can be used: expected ',' or ']'"),
        ("a: .nan", "line 1: not YAML that can be used: .nan is a number that JSON lacks"),
        ("- " * 5000, "x.yaml: not YAML that can be used: it has more than 200 levels"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        ("a: \x00", "not YAML that can be used: unacceptable character"),
        ("[]", "line 1: not a Kubernetes object"),
        (f"{json.dumps(MODEL)}\n---\n5", "line 3: not a Kubernetes object"),
        ("apiVersion: v1\nkind: 5\nmetadata: {name: a}", "line 1: not a Kubernetes object"),
        ("apiVersion: 1\nkind: Pod\nmetadata: {name: a}", "line 1: not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}", "line 1: not a Kubernetes object"),
        (json.dumps(MODEL)[:-1] + ', "kind": "Server"}', 'the key "kind" stands twice'),
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
        refuse_mistakes([FoundObject(each) for each in found])
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


def test_every_problem_is_told_and_a_warning_stops_nothing(capsys):
    assert not ends({**MODEL, "spec": {"storageUri": "/m", "logger": {}}})
    assert "warning: model/iris: spec.logger: has no effect" in capsys.readouterr().err
    assert ends({**MODEL, "spec": {"storageUri": "", "replicas": "3", "logger": {}}})
    said = capsys.readouterr().err
    assert "error: model/iris: spec.replicas" in said
    assert "hint: nothing was sent; mend this" in said


def test_the_faults_of_all_files_are_told_at_once_each_with_its_place(tmp_path, capsys):
    broken = {**MODEL, "spec": {"storageUri": "/m", "replicas": "3"}}
    (tmp_path / "a.yaml").write_text(f"# one\n{yaml.safe_dump(MODEL)}---\n{yaml.safe_dump(broken)}---\n5\n")
    (tmp_path / "b.json").write_text('{"a": 1')
    (tmp_path / "c.yml").write_text(yaml.safe_dump({**MODEL, "kind": "Modle"}))
    (tmp_path / "d.txt").write_text("no manifest")
    (tmp_path / "e.yaml").mkdir()
    (tmp_path / "empty").mkdir()
    paths = [tmp_path, tmp_path / "missing.yaml", tmp_path / "empty", tmp_path / "d.txt"]
    with pytest.raises(typer.Exit) as ended:
        valid_objects(paths)
    assert ended.value.exit_code == 2
    said = [
        line.removeprefix("error: ")
        for line in capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines()
    ]
    assert said == [
        f"a.yaml, line 17: {NO_OBJECT}",
        "b.json, line 1: not YAML that can be used: expected ',' or '}', but got '<stream end>' (column 8)",
        "missing.yaml cannot be read: No such file or directory",
        "empty has no file that ends in .yaml, .yml, .json",
        f"d.txt, line 1: {NO_OBJECT}",
        f"c.yml, line 1: modle/iris: {VERSION} Modle is not a kind that Bailie uses: {MEANT}",
        'a.yaml, line 9: model/iris: spec.replicas: must be an integer, not "3"',
        "hint: nothing was sent; mend this, and run the command again",
    ]


def test_a_fault_hides_no_mistake_of_the_same_file(tmp_path, capsys):
    wrong = {**MODEL, "spec": {"storageUri": "/m", "replcas": 1, "memroy": 1}}
    doubled = "kind: Model\nkind: Model"
    parts = [yaml.safe_dump(wrong), "a: [1", yaml.safe_dump(MODEL), doubled, "5", yaml.safe_dump(wrong)]
    (tmp_path / "a.yaml").write_text("---\n".join(f"{each}\n" for each in parts))
    with pytest.raises(typer.Exit):
        valid_objects([tmp_path / "a.yaml"])
    said = capsys.readouterr().err.replace(f"{tmp_path}/a.yaml, ", "").splitlines()
    assert [line.removeprefix("error: ").partition(" (")[0] for line in said] == [
        "line 12: not YAML that can be used: expected ',' or ']', but got '<document start>'",
        'line 22: not YAML that can be used: the key "kind" stands twice in one object',
        f"line 24: {NO_OBJECT}".partition(" (")[0],
        'line 1: model/iris: spec.memroy: there is no field "memroy" here; did you mean "memory"?',
        'line 1: model/iris: spec.replcas: there is no field "replcas" here; did you mean "replicas"?',
        'line 26: model/iris: spec.memroy: there is no field "memroy" here; did you mean "memory"?',
        'line 26: model/iris: spec.replcas: there is no field "replcas" here; did you mean "replicas"?',
        "hint: nothing was sent; mend this, and run the command again",
    ]


def test_the_manifests_of_a_folder_come_by_name(tmp_path):
    for name in ("b.yml", "a.yaml", "c.json", "d.YAML.bak"):
        (tmp_path / name).write_text(json.dumps({**MODEL, "metadata": {"name": name[0]}}))
    found = known_objects([tmp_path])
    assert [each.manifest["metadata"]["name"] for each in found] == ["a", "b", "c"]
    assert found[0].place == f"{tmp_path / 'a.yaml'}, line 1"


@pytest.mark.parametrize(
    ("file", "says"),
    [("/dev/zero", "has more than 64 MiB"), ("x" * 300, "cannot be read: File name too long")],
)
def test_files_that_are_none(capsys, file, says):
    with pytest.raises(typer.Exit):
        read_objects([Path(file)])
    assert says in capsys.readouterr().err
