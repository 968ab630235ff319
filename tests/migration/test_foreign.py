"""Which namespaces an operator of Seldon Core's serves, as its flags and variables say."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import OLD, foreign_operator

from bailie.migration.foreign import operator_of


def deployed(args, **env):
    made = foreign_operator()
    made["metadata"]["namespace"] = OLD
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["args"] = args
    container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return made


FLAGS = ["--clusterwide=$(CLUSTERWIDE)", "--watch-namespaces=$(WATCH_NAMESPACES)"]


@pytest.mark.parametrize(
    ("args", "env", "namespaces", "told"),
    [
        ([], {}, {OLD}, True),
        (["--clusterwide"], {}, None, True),
        (["--clusterwide=false", "--watch-namespaces=a"], {}, {OLD}, True),
        (["--clusterwide=true", "--watch-namespaces=a, b"], {}, {OLD, "a", "b"}, True),
        (FLAGS, {"CLUSTERWIDE": "true", "WATCH_NAMESPACES": ""}, None, True),
        (FLAGS, {"CLUSTERWIDE": "true", "WATCH_NAMESPACES": "a,b"}, {OLD, "a", "b"}, True),
        (FLAGS, {"CLUSTERWIDE": "perhaps"}, None, False),
        (FLAGS, {"CLUSTERWIDE": "true"}, None, False),
        (["--clusterwide=$(ELSEWHERE)"], {}, None, False),
    ],
)
def test_the_scope_of_an_operator(args, env, namespaces, told):
    operator = operator_of(deployed(args, **env))
    assert (operator.namespaces, operator.told) == (
        None if namespaces is None else frozenset(namespaces),
        told,
    )
    assert operator.covers("a") is (namespaces is None or "a" in namespaces)


@pytest.mark.parametrize(
    ("wanted", "ready", "at_work"), [(1, 1, True), (1, 0, True), (0, 1, True), (0, 0, False), (None, 0, True)]
)
def test_an_operator_is_at_work_until_its_last_pod_has_ended(wanted, ready, at_work):
    made = deployed([])
    made["spec"]["replicas"] = wanted
    made["status"] = {"readyReplicas": ready}
    assert operator_of(made).at_work is at_work
