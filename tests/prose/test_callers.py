"""A module's first lines say who calls it. Here the imports say whether that is true."""

from __future__ import annotations

import re

import pytest
from tests.prose.sources import by_name, imports, listed, modules

_CLAIM = re.compile(
    r"(?:^|[.;:] )"
    r"(?:Asked|Built|Called|Fed|Kept|Made|Opened|Owned|Read|Run|Served|Shared|Started|Told|Used)\b"
    r"[^.;:`]*?\bby (?P<callers>[^;:]*?)(?:[.;:](?:\s|$)|$)",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"\s(?:after|as|at|before|beside|for|from|in|once|so|that|through|to|until|when|where|which|while|whose|with)\s"
)
_SPAN = re.compile(r"`([^`]+)`")
_ACTIVE = re.compile(r"`([\w.]+)` (?:asks|calls|opens|owns|uses)\b")
_ROLES = {
    "agent": "agent",
    "agents": "agent",
    "command line": "cli",
    "container runner": "workloads.node.container",
    "doctor": "doctor",
    "election": "kube.election",
    "engine": "control.engine",
    "gateway": "gateway",
    "node": "workloads.node",
    "operator": "operator",
    "pod worker": "workloads.node.pod_worker",
    "pod's set-up": "workloads.node.setup",
    "reconcilers": "operator.reconciler",
    "scheduler": "scheduler|control",
    "status writer": "scheduler.status.writer",
    "supervisor": "local.supervisor",
}
"""Words for packages and modules that need no backticks; all other callers are named as modules. Of two names
of a module that is being moved either will do."""
KNOWN = {
    "bailie.mlserver.bailie_binary": "start imports the file beside it, where Bailie is not installed",
    "bailie.mlserver.bailie_bodies": "start imports the file beside it, where Bailie is not installed",
    "bailie.mlserver.bailie_filenames": "start imports the file beside it, where Bailie is not installed",
    "bailie.mlserver.bailie_models": "start imports the file beside it, where Bailie is not installed",
    "bailie.mlserver.bailie_under_way": "start imports the file beside it, where Bailie is not installed",
}
"""Modules whose wording reads as if the named caller imported them."""
_ROLE = re.compile(rf"\bthe ({'|'.join(_ROLES)})\b(?!')|\b(agents)\b")


def callers_in(text):
    """Yields the parts of a text that name callers."""
    for claim in _CLAIM.finditer(text):
        yield _STOP.split(claim["callers"])[0]


def named_in(callers):
    """Returns the spans and the roles in a list of callers."""
    spans = [
        span.split(" ")[0].removesuffix(".py") if " " in span else span.removesuffix(".py")
        for span in _SPAN.findall(callers)
    ]
    return spans + [_ROLES[role[0] or role[1]] for role in _ROLE.findall(_SPAN.sub("", callers))]


def resolved(name, module):
    """Returns the modules that a name means in the prose of a module; `a|b` means either."""
    return [found for each in name.split("|") for found in _nearest(each, module)]


def _nearest(name, module):
    """Returns the modules of the nearest package that has the name."""
    known, top = by_name(), module.name.partition(".")[0]
    parents = [module.package]
    while "." in parents[-1]:
        parents.append(parents[-1].rpartition(".")[0])
    head, _, member = name.rpartition(".")
    candidates = [f"{parent}.{name}" for parent in parents] + [f"bailie.{name}", name]
    candidates += [f"{parent}.{head}" for parent in parents] if member[:1].isupper() else []
    for each in candidates:
        if each in known and each != top:
            return [found for found in known if found == each or found.startswith(f"{each}.")]
    anywhere = [found for found in known if found.startswith(f"{top}.") and found.endswith(f".{name}")]
    return anywhere or _defining(name.partition(".")[0], module)


def _defining(name, module):
    """Returns the modules of the same package that define a class or function of this name."""
    return [
        found.name
        for found in modules()
        if found.package.startswith(module.package.rpartition(".")[0])
        and found is not module
        and any(getattr(node, "name", "") == name for node in found.tree.body)
    ]


def problems(module):
    for callers in callers_in(module.prose):
        named = named_in(callers)
        if not named:
            yield f"{callers!r} names no module"
        for name in named:
            yield from _problem(module, name)
        importers = {name for name, imported in imports().items() if module.name in imported}
        allowed = {inside for name in named for inside in resolved(name, module)}
        if re.search(r"\bonly\b", callers) and importers - allowed:
            yield f"not only {callers!r}: {sorted(importers - allowed)} import it"
    for name in _ACTIVE.findall(module.prose):
        if resolved(name, module):
            yield from _problem(module, name)


def _problem(module, name):
    if name == "bailie":
        return
    found = resolved(name, module)
    if not found:
        yield f"there is no {name}"
    elif not any(module.name in imports()[each] for each in found):
        yield f"{name} does not import it"


def test_the_callers_that_a_module_names_import_it():
    wrong = {module.name: list(problems(module)) for module in modules() if module.name not in KNOWN}
    wrong = {name: found for name, found in wrong.items() if found}
    assert not wrong, listed(wrong)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Called by `ads` for each Envoy.", ["ads"]),
        ("Called by `a`, `b.py` and the doctor with what `c` found.", ["a", "b", "doctor"]),
        ("Does this. Read by agents; `d` is another matter.", ["agent"]),
        ("Run by `bailie up`, once.", ["bailie"]),
        ("Called by whoever dials a service.", []),
        ("Nobody calls it.", None),
    ],
)
def test_names_of_callers_are_found_in_prose(text, named):
    found = [named_in(callers) for callers in callers_in(text)]
    assert found == ([] if named is None else [named])


def test_most_modules_name_their_callers():
    """Else the wording has changed, and this file checks nothing."""
    naming = [module for module in modules() if any(callers_in(module.prose))]
    assert len(naming) > len(modules()) / 2


def test_a_claim_that_the_imports_contradict_is_found():
    module = by_name()["bailie.placement.place"]
    assert list(_problem(module, "operator")) == ["operator does not import it"]
    assert list(_problem(module, "steward")) == ["there is no steward"]
    assert list(_problem(module, "incremental")) == []
