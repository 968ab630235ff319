"""Role-based access control as a function."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from kubeapi.access.auth import Authoriser
from kubeapi.access.rbac import AUTHENTICATED, MASTERS, Attributes, User, allowed, policy_of, refusal
from kubeapi.storage.store import Key, Store


def role(name, *rules, namespace="a"):
    return {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def cluster_role(name, *rules):
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(ref, *subjects, namespace="a", kind="Role"):
    meta = {"name": ref, "namespace": namespace} if namespace else {"name": ref}
    return {"metadata": meta, "roleRef": {"kind": kind, "name": ref}, "subjects": list(subjects)}


def rule(verbs, resources, groups=("",), names=()):
    found = {"verbs": list(verbs), "resources": list(resources), "apiGroups": list(groups)}
    return found | ({"resourceNames": list(names)} if names else {})


ANN = {"kind": "User", "name": "ann"}
POLICY = policy_of(
    [
        role("reader", rule(["get", "list"], ["pods"])),
        role("named", rule(["get"], ["secrets"], names=["token"])),
        role("scaler", rule(["patch"], ["*/scale"], groups=["*"])),
        role("logs", rule(["get"], ["pods/log"])),
    ],
    [
        cluster_role("viewer", rule(["*"], ["*"], groups=["mlops.seldon.io"])),
        cluster_role("raw", {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/debug/*"]}),
    ],
    [
        binding("reader", ANN),
        binding("named", {"kind": "ServiceAccount", "name": "bot"}),
        binding("scaler", {"kind": "Group", "name": "ops"}),
        binding("logs", {"kind": "ServiceAccount", "name": "bot", "namespace": "b"}),
        binding("viewer", ANN, kind="ClusterRole"),
        binding("missing", ANN),
    ],
    [binding("raw", ANN, namespace="", kind="ClusterRole")],
)
USERS = {
    "ann": User("ann", groups=(AUTHENTICATED,)),
    "ops": User("joe", groups=("ops",)),
    "bot": User("system:serviceaccount:a:bot"),
    "bot of b": User("system:serviceaccount:b:bot"),
    "root": User("root", groups=(MASTERS,)),
}
CASES = [
    ("ann", {"verb": "list", "resource": "pods", "namespace": "a"}, True),
    ("ann", {"verb": "list", "resource": "pods", "namespace": "b"}, False),
    ("ann", {"verb": "list", "resource": "pods"}, False),
    ("ann", {"verb": "delete", "resource": "pods", "namespace": "a"}, False),
    ("ann", {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "a"}, False),
    ("ann", {"verb": "get", "resource": "pods", "group": "apps", "namespace": "a"}, False),
    ("bot", {"verb": "get", "resource": "secrets", "name": "token", "namespace": "a"}, True),
    ("bot", {"verb": "get", "resource": "secrets", "name": "other", "namespace": "a"}, False),
    ("bot", {"verb": "get", "resource": "secrets", "namespace": "a"}, False),
    ("bot of b", {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "a"}, True),
    ("bot", {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "a"}, False),
    (
        "ops",
        {"verb": "patch", "resource": "models", "subresource": "scale", "group": "x", "namespace": "a"},
        True,
    ),
    ("ops", {"verb": "patch", "resource": "models", "group": "x", "namespace": "a"}, False),
    ("ann", {"verb": "delete", "resource": "models", "group": "mlops.seldon.io", "namespace": "a"}, True),
    ("ann", {"verb": "delete", "resource": "models", "group": "mlops.seldon.io", "namespace": "b"}, False),
    ("ann", {"verb": "get", "path": "/metrics"}, True),
    ("ann", {"verb": "get", "path": "/debug/pprof"}, True),
    ("ann", {"verb": "post", "path": "/metrics"}, False),
    ("ann", {"verb": "get", "path": "/apis/mlops.seldon.io"}, True),
    ("bot", {"verb": "get", "path": "/apis"}, False),
    ("root", {"verb": "delete", "resource": "namespaces"}, True),
    ("root", {"verb": "put", "path": "/anything"}, True),
]


@pytest.mark.parametrize(("who", "what", "expected"), CASES)
def test_allowed(who, what, expected):
    assert allowed(USERS[who], Attributes(**what), POLICY) is expected


REFUSALS = [
    (
        {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "a"},
        'User "ann" cannot get resource "pods/log" in API group "" in the namespace "a"',
    ),
    (
        {"verb": "list", "resource": "models", "group": "mlops.seldon.io"},
        'User "ann" cannot list resource "models" in API group "mlops.seldon.io" at the cluster scope',
    ),
    ({"verb": "get", "path": "/x"}, 'User "ann" cannot get path "/x"'),
]


@pytest.mark.parametrize(("what", "words"), REFUSALS)
def test_refusals_are_worded_as_kubernetes_words_them(what, words):
    assert refusal(USERS["ann"], Attributes(**what)) == words


def some_verbs(chance):
    return rule(chance.sample(["get", "list", "watch"], 2), ["pods"])


CHANGED = [
    ("roles", lambda name, chance: role(name, some_verbs(chance), namespace=chance.choice("ab"))),
    ("clusterroles", lambda name, chance: cluster_role(name, some_verbs(chance))),
    ("rolebindings", lambda name, chance: binding(name, ANN, namespace=chance.choice("ab"))),
    ("clusterrolebindings", lambda name, _: binding(name, ANN, namespace="", kind="ClusterRole")),
]


def test_an_index_that_followed_changes_is_as_one_of_the_objects_that_are_there(tmp_path):
    """Objects are made, changed and deleted in some order, and rolled back."""
    store = Store(tmp_path / "state.db")
    authoriser, chance = Authoriser(store), random.Random(1)
    assert authoriser.policy.roles == {}
    for turn in range(300):
        plural, made = chance.choice(CHANGED)
        obj = made(f"r{chance.randrange(3)}", chance)
        key = Key(
            f"rbac.authorization.k8s.io/{plural}",
            obj["metadata"].get("namespace", ""),
            obj["metadata"]["name"],
        )
        with suppress(ZeroDivisionError), store.transaction():
            there = store.get(key)
            if there is not None and chance.random() < 0.4:
                store.remove(key, there)
            else:
                store.put(key, {**obj, "metadata": {**obj["metadata"], "uid": f"{turn}"}}, there)
            1 / chance.randrange(4)
        anew, followed = Authoriser(store).policy, authoriser.policy
        assert (followed.roles, followed.bindings) == (anew.roles, anew.bindings)
    store.close()
