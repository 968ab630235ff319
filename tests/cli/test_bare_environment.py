"""Every command where nothing is set: no home, no variable, no folder for temporary files, closed streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

RUN_ALL = """
import importlib, json, os, pkgutil, pwd, sys, tempfile, traceback
import typer
import bailie
from bailie.cli import main
from bailie.cli.app import app
from bailie.cli.seldon.app import app as seldon

for found in pkgutil.walk_packages(bailie.__path__, "bailie."):
    if found.name.startswith(("bailie.cli.", "bailie.local.", "bailie.settings.", "bailie.migration.")):
        importlib.import_module(found.name)

FILE = {"filename", "file"}

def commands(command, path):
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, [*path, name])
    if not hasattr(command, "commands"):
        words = []
        for each in command.params:
            if each.required:
                word = sys.argv[1] if each.name in FILE else "x"
                words += [each.opts[0], word] if each.opts[0].startswith("-") else [word]
        yield [*path, *words]

def nobody(*_):
    raise KeyError

def run(entry, words, streams):
    said, into = os.pipe()
    if (child := os.fork()) == 0:
        pwd.getpwuid = nobody
        tempfile._candidate_tempdir_list = lambda: ["/proc"]
        os.dup2(into, 2)
        for number, name in streams:
            os.close(number)
            setattr(sys, name, None)
        sys.argv = words
        code = 99
        try:
            entry()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            os.write(into, traceback.format_exc().encode())
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os._exit(code)
    os.close(into)
    with os.fdopen(said) as pipe:
        text = pipe.read()
    return {"words": words, "code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "said": text}

found = []
for name, entry, tree in (("bailie", main.main, app), ("seldon", main.seldon, seldon)):
    for words in commands(typer.main.get_command(tree), [name]):
        found.append(run(entry, words, [(0, "stdin"), (1, "stdout")]))
print(json.dumps(found))
"""
SILENT = [["bailie", "crds"], ["bailie", "version"], ["seldon", "config", "list"]]
"""They do what was asked: their output is not wanted."""


def test_every_command_ends_with_a_sentence_and_a_code(tmp_path):
    model = tmp_path / "model.yaml"
    model.write_text(json.dumps({"kind": "Model"}))
    found = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(model)],
        env={"PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ended = json.loads(found.stdout)
    assert len(ended) > 50
    assert [each for each in ended if "Traceback" in each["said"] or each["code"] not in {0, 1, 2, 3}] == []
    assert [each["words"] for each in ended if not each["said"]] == SILENT


CLOSED = (
    'import os, sys; os.close({number}); os.execv(sys.executable, [sys.executable, "-m", "bailie", {words}])'
)


@pytest.mark.parametrize(
    ("number", "words", "code", "said"),
    [
        (0, '"infer", "iris"', 2, "error: no request"),
        (1, '"version"', 0, ""),
        (2, '"infer", "iris", "{"', 2, ""),
    ],
)
def test_a_stream_that_was_closed_is_an_empty_one(tmp_path, number, words, code, said):
    found = subprocess.run(
        [sys.executable, "-c", CLOSED.format(number=number, words=words)],
        env={"PATH": os.defpath},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == code
    assert found.stderr.startswith(said)
    assert found.stdout == ""


def test_a_working_folder_that_is_gone_is_told(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.rmdir({str(gone)!r}); from bailie.cli.main import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code, "serve", "x"],
        env={"PATH": os.defpath, "BAILIE_STATE_DIR": str(tmp_path)},
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stderr) == (
        1,
        "error: the working folder is gone: change to another one\n",
    )
