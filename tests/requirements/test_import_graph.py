"""No import goes in a circle, and each module that does no I/O stands in a contract of purity."""

from __future__ import annotations

from configparser import ConfigParser
from graphlib import TopologicalSorter

import grimp
import pytest
from tests.support.documents import ROOT

ROOTS = ("bailie", "kubeapi")
GENERATED = {"_gen", "_generated"}
CONTRACTS = {"bailie": "importlinter:contract:pure", "kubeapi": "importlinter:contract:kubeapi-pure"}

NOT_PURE = {
    "bailie.agent.metrics": "counts in the process's registry",
    "bailie.agent.remotes": "reads the mounted configuration",
    "bailie.kafka.settings": "reads the mounted configuration",
    "bailie.kube.clock": "is the clock",
    "bailie.kube.open_files": "raises a limit of the process",
    "bailie.kube.metrics": "counts in the process's registry",
    "bailie.tracing.metrics": "counts in the process's registry",
    "bailie.kube.token": "reads a file",
    "bailie.local.signature": "opens a model, as a script",
    "bailie.local.temporary_folder": "makes a folder",
    "bailie.local.training": "writes files, as a script",
    "bailie.scheduler.status.metrics": "counts in the process's registry",
    "bailie.scheduler.status.delivery_metrics": "counts in the process's registry",
    "bailie.pipelinegateway.metrics": "counts in the process's registry",
    "bailie.workloads.node.proc": "reads /proc",
    "kubeapi.clock": "is the clock",
}
"""Modules that import nothing forbidden and are not pure all the same, with the reason."""


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(*ROOTS, include_external_packages=True, cache_dir=None)


def test_no_import_goes_in_a_circle(graph):
    """Imports for types are counted, too; `prepare` raises CycleError with the circle."""
    ours = {each for each in graph.modules if each.partition(".")[0] in ROOTS}
    TopologicalSorter({each: graph.find_modules_directly_imported_by(each) & ours for each in ours}).prepare()


def contract(root):
    """Returns the modules that a contract names, and the imports that it forbids."""
    found = ConfigParser()
    found.read(ROOT / ".importlinter")
    section = found[CONTRACTS[root]]
    return section["source_modules"].split(), section["forbidden_modules"].split()


def pure(graph, root, forbidden):
    """Returns the modules that import nothing forbidden, however far away; packages only as a whole."""
    modules = {
        each
        for each in graph.modules
        if each.partition(".")[0] == root and not GENERATED & set(each.split("."))
    }
    tainted = {
        user for each in forbidden if each in graph.modules for user in graph.find_downstream_modules(each)
    }
    tainted |= {
        ".".join(each.split(".")[:depth]) for each in tainted for depth in range(1, each.count(".") + 1)
    }
    return modules - tainted


def within(module, packages):
    return any(module == each or module.startswith(f"{each}.") for each in packages)


@pytest.mark.parametrize("root", ROOTS)
def test_what_is_pure_is_named_in_the_contract(graph, root):
    named, forbidden = contract(root)
    found = pure(graph, root, forbidden)
    assert {each for each in NOT_PURE if within(each, [root])} <= found
    missing = {each for each in found - NOT_PURE.keys() if not within(each, named)}
    whole = {each for each in missing if not within(each.rpartition(".")[0], missing)}
    assert sorted(whole) == [], f"add these to {CONTRACTS[root]} in .importlinter"


@pytest.mark.parametrize("root", ROOTS)
def test_what_is_named_is_there(graph, root):
    named, _ = contract(root)
    assert {*named, *NOT_PURE} <= graph.modules
    assert not NOT_PURE.keys() & set(named)
    assert not [each for each in named if within(each.rpartition(".")[0], named)], "named twice"
