"""A write as a command line: what strangers wrote into an object is one word of a shell."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from bailie.api.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    SECRET,
    SELDON_RUNTIME,
    SERVER,
    STATEFUL_SET,
)
from bailie.migration.changes import ORPHAN, create, delete, next_upgrades, patch

HOSTILE = ("$(touch /tmp/x)", "a b", "`id`", "a;id", "'", '"', "a\nb", "*")


def item(name="a", namespace="team", **metadata):
    return {"metadata": {"name": name, "namespace": namespace, **metadata}}


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_strangers_chose_are_one_word_each(text):
    marks = {"meta.helm.sh/release-name": text, "meta.helm.sh/release-namespace": text}
    change = patch(CONFIG_MAP, item(annotations=marks), {"data": {"k": text}}, values=("--set a=b",))
    release, chart, option, namespace = shlex.split(change.helm)[2:6]
    assert (chart, option) == ("./charts/seldon-core-v2-runtime", "--namespace")
    assert release == namespace
    assert shlex.split(change.command())[:4] == ["kubectl", "patch", "configmaps", "a"]
    words = shlex.split(delete(CONFIG_MAP, item(name=text, namespace=text)).command())
    assert words[:3] == ["kubectl", "delete", "configmaps"]
    assert len(words) == 6


def test_of_a_change_that_no_value_says_no_upgrade_is_told():
    marks = {"meta.helm.sh/release-name": "servers", "meta.helm.sh/release-namespace": "team"}
    assert patch(SERVER, item(annotations=marks), {"metadata": {"annotations": {"a": "b"}}}).helm == ""


def test_of_a_release_that_helm_has_forgotten_one_line_is_told_with_all_values():
    def changed(name, *values):
        marks = {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "team"}
        return patch(SELDON_RUNTIME, item(annotations=marks), {"spec": {}}, values=values)

    anew = "helm upgrade --install run ./charts/seldon-core-v2-runtime --namespace team -f VALUES"
    forgotten = replace(delete(SECRET, item()), helm=anew)
    changes = (changed("run", "--set a=1"), changed("other", "--set c=3"), changed("run", "--set b=2"))
    kept = "helm upgrade other ./charts/seldon-core-v2-runtime --namespace team --reuse-values --set c=3"
    assert next_upgrades((*changes, forgotten, forgotten)) == (kept, f"{anew} --set a=1 --set b=2")
    assert len(next_upgrades(changes)) == 3


def test_a_deletion_that_leaves_the_pods_says_so():
    line = delete(STATEFUL_SET, item(), propagation=ORPHAN).command()
    assert line == "kubectl delete statefulsets.apps a --namespace team --cascade=orphan"


def test_an_object_of_the_cluster_has_no_namespace():
    change = patch(CUSTOM_RESOURCE_DEFINITION, {"metadata": {"name": "models.x"}}, {"spec": {}})
    assert change.told() == 'patch CustomResourceDefinition models.x: {"spec":{}}'
    assert "--namespace" not in change.command()


def test_a_secret_is_drawn_by_the_line_too():
    line = create(SECRET, {"apiVersion": "v1", "kind": "Secret", **item()}).command()
    assert line == (
        "kubectl create secret generic a --namespace team --from-literal=token=$(openssl rand -hex 32)"
    )
