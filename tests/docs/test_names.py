"""Whatever the documents name is there: files, headings, metrics, values, variables, targets of make."""

from __future__ import annotations

import importlib
import re
from functools import cache

import pytest
import yaml
from prometheus_client import REGISTRY
from tests.support.documents import DOCUMENTS, ROOT, anchors, blocks, commands, links, spans, text_of

from bailie.gateway import request_exposition

by_document = pytest.mark.parametrize("document", DOCUMENTS)
_METRICS = re.compile(r"\bbailie_[a-z_]+[a-z]\b(?!\.py)")
_VARIABLE = re.compile(r"\b(?:BAILIE|SELDON)_[A-Z_]+[A-Z]\b")
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@by_document
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT).as_posix()), link


@by_document
def test_metrics_exist(document):
    """In queries as Prometheus names samples; the prose may name families."""
    samples, families = metrics()
    assert set(_METRICS.findall(text_of(document))) <= samples | families
    queries = "".join(block.text for block in blocks(document) if block.language == "yaml")
    assert set(_METRICS.findall(queries)) <= samples


@cache
def metrics():
    """Returns the names of all our samples, and of all families of samples."""
    for path in sorted((ROOT / "src" / "bailie").rglob("*.py")):
        if "prometheus_client" in path.read_text():
            parts = path.relative_to(ROOT / "src").with_suffix("").parts
            importlib.import_module(".".join(parts))
    found = [family for family in REGISTRY.collect() if family.name.startswith("bailie_")]
    samples = {family.name + suffix for family in found for suffix in _SUFFIXES[family.type]}
    samples |= {request_exposition.EVENTS, request_exposition.DROPPED, request_exposition.LEFT_OUT}
    return samples, {family.name for family in found}


@by_document
def test_ports_that_are_scraped_are_those_of_the_pods(document):
    named = {
        endpoint["port"]
        for block in blocks(document)
        if "kind: PodMonitor" in block.text
        for endpoint in yaml.safe_load(block.text)["spec"]["podMetricsEndpoints"]
    }
    assert named <= set(re.findall(r"name: ([\w-]+), containerPort:", pod_templates()))


def pod_templates():
    folder = ROOT / "charts" / "seldon-core-v2-setup" / "templates"
    return "".join(path.read_text() for path in folder.iterdir())


@by_document
def test_variables_are_read_somewhere(document):
    assert set(_VARIABLE.findall(text_of(document))) - variables() == set()


@cache
def variables():
    """Returns the variables that the code, the tests or the Makefile name."""
    places = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile"]
    return {name for path in places for name in _VARIABLE.findall(path.read_text())}


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name != "docs/reference/resources.md"])
def test_values_of_charts_exist(document):
    known = values()
    tops = {path.partition(".")[0] for path in known}
    named = [text.partition("=")[0] for text in spans(document)]
    paths = [name for name in named if re.fullmatch(r"[a-z]\w*(\.\w+)+", name)]
    assert [path for path in paths if path.partition(".")[0] in tops and path not in known] == []


@cache
def values():
    """Returns the path of every value of every chart, branches too."""
    found: set[str] = set()

    def walk(schema, prefix):
        for name, each in schema.get("properties", {}).items():
            found.add(prefix + name)
            walk(each, f"{prefix}{name}.")

    for path in (ROOT / "charts").glob("*/values.schema.json"):
        walk(yaml.safe_load(path.read_text()), "")
    return found


@by_document
def test_targets_of_make_exist(document):
    made = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [words for words in commands(document) if words[0] == "make"]
    named += [text.split() for text in spans(document) if re.match(r"(\S+=\S+ )*make [a-z]", text)]
    targets = {words[words.index("make") + 1] for words in named if len(words) > 1}
    assert targets <= set(made)
