"""What developers are told is there: paths, modules, helpers, hooks, and the editor's rules."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import re
import subprocess
from functools import cache

import pytest
import yaml
from tests.conftest import SLOW
from tests.support.documents import ROOT, blocks, spans, text_of

FOR_DEVELOPERS = (
    "ARCHITECTURE.md",
    "docs/how-it-works.md",
    "CONTRIBUTING.md",
    "DEVELOPMENT.md",
    "tests/README.md",
)
SOURCE, TESTS = ROOT / "src" / "bailie", ROOT / "tests"
_PATH = re.compile(r"(?<![\w./<$~-])[\w.-]+(?:/[\w.*<>-]+)+(?![\w/])")
_MODULE = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
by_document = pytest.mark.parametrize("document", FOR_DEVELOPERS)


def paths_in(text):
    """Returns what names a file or folder of the repository, or of `src/bailie` where it ends in `.py`."""
    tops = {path.name for path in ROOT.iterdir()}
    packages = {path.name for path in SOURCE.iterdir()}
    for word in _PATH.findall(text):
        top = word.partition("/")[0]
        if "<" not in word and (top in tops or (top in packages and word.endswith(".py"))):
            yield word


def is_there(path):
    return any(next(folder.glob(path), None) for folder in (ROOT, SOURCE))


@by_document
def test_paths_exist(document):
    text = "\n".join([*spans(document), *(block.text for block in blocks(document))])
    assert [path for path in paths_in(text) if not is_there(path)] == []


@by_document
def test_modules_exist(document):
    """`manifests.fences` names a module, or something in one."""
    packages = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    named = [span.split(".") for span in spans(document) if _MODULE.fullmatch(span)]
    missing = [parts for parts in named if parts[0] in packages and not resolves(parts)]
    assert missing == []


def resolves(parts):
    folder = SOURCE
    for number, part in enumerate(parts):
        if (folder / part).is_dir():
            folder /= part
        elif (folder / f"{part}.py").exists():
            return set(parts[number + 1 :]) <= defined(folder / f"{part}.py")
        else:
            return False
    return True


@cache
def defined(file):
    """Returns the names that a module defines at its top, and the methods of its classes."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def rows():
    """Yields the words of the second column of the table of helpers, and the files of the third."""
    for line in text_of("tests/README.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and "`tests/" in cells[2]:
            yield re.findall(r"`(\w+)`", cells[1]), re.findall(r"`(tests/[^`]+)`", cells[2])


def test_every_helper_is_where_the_table_says():
    assert len(list(rows())) > 20
    for helpers, files in rows():
        there = set().union(*(defined(ROOT / file) for file in files))
        assert set(helpers) - there == set(), files


def test_the_table_has_every_file_of_helpers():
    listed = {file for _, files in rows() for file in files}
    support = {path.relative_to(ROOT).as_posix() for path in (TESTS / "support").rglob("*.py")}
    assert support - listed == set()


def test_the_hooks_need_nothing_from_elsewhere():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        program, target = hook["entry"].split()
        assert (program, hook["language"]) == ("make", "system")
        assert target in targets


def rules_for(path):
    """Returns the settings of `.editorconfig` for a file; later sections win."""
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    found = {}
    for section in parser.sections():
        if section != "top" and fnmatch.fnmatch(path.rpartition("/")[2], section):
            found |= dict(parser[section])
    return found


def faults(path, data):
    rules = rules_for(path)
    indented = rb"(?m)^\t" if rules["indent_style"] == "space" else rb"(?m)^ +\S"
    if rules["insert_final_newline"] == "true" and data and not data.endswith(b"\n"):
        yield "no newline at the end"
    if rules["trim_trailing_whitespace"] == "true" and re.search(rb"(?m)[ \t]+\r?$", data):
        yield "spaces at the end of a line"
    if rules["end_of_line"] == "lf" and b"\r\n" in data:
        yield "CRLF"
    if re.search(indented, data):
        yield f"lines that are not indented by {rules['indent_style']}"


def test_files_are_as_editors_are_told_to_leave_them():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    texts = {path: data for path in files if path.is_file() and b"\0" not in (data := path.read_bytes())}
    assert len(texts) > 500
    found = {
        path.relative_to(ROOT).as_posix(): problems
        for path, data in texts.items()
        if (problems := list(faults(path.relative_to(ROOT).as_posix(), data)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("src/bailie/api/nowhere.py", ["src/bailie/api/nowhere.py"]),
        ("see gateway/listener.py, and docs/models.md", ["gateway/listener.py", "docs/models.md"]),
        ("tests/<package>/test_<module>.py and https://docs/x", []),
        ("scheduler/xDS and /tmp/dev/api/admin.kubeconfig", []),
    ],
)
def test_paths_are_found_in_a_text(text, expected):
    assert list(paths_in(text)) == expected


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("a.py", b"x\n\ty\n", ["lines that are not indented by space"]),
        ("Makefile", b"x:\n\ty\n", []),
        ("a.md", b"x \r\n", ["spaces at the end of a line", "CRLF"]),
        ("a.yaml", b"x: 1", ["no newline at the end"]),
        ("a.md", b"x  \ny", ["no newline at the end", "spaces at the end of a line"]),
    ],
)
def test_faults_of_a_file_are_found(path, data, expected):
    assert list(faults(path, data)) == expected


def test_names_that_a_module_does_not_have_are_found():
    assert resolves(["manifests", "fences"])
    assert resolves(["placement", "place", "place"])
    assert not resolves(["placement", "place", "nowhere"])
    assert not resolves(["placement", "nowhere"])


def test_what_starts_envoy_is_left_out_where_time_is_short():
    """Files with MLServer are found by their fixtures; a file that uses Envoy imports what starts it."""
    starts = re.compile(r"from tests\.support\.dataplane import .*\benvoy\b")
    found = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.glob("[!e]*/test_*.py")
        if starts.search(path.read_text())
    }
    assert len(found) > 5
    assert found <= set(SLOW)
    assert [name for name in SLOW if not (TESTS / name).exists()] == []
