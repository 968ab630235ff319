from __future__ import annotations

import pytest

from bailie.workloads.ownership import scaled_by

REPLICAS = {"f:spec": {"f:replicas": {}}}


def entry(manager, operation="Update", fields=None, **more):
    return {"manager": manager, "operation": operation, "fieldsV1": fields or REPLICAS, **more}


CASES = {
    "nobody": ([], ""),
    "we alone": ([entry("bailie", "Apply")], ""),
    "an autoscaler": ([entry("kube-controller-manager", subresource="scale")], "kube-controller-manager"),
    "a person who applies": ([entry("bailie", "Apply"), entry("kubectl", "Apply")], "kubectl"),
    "a person who edits": ([entry("kubectl-edit")], ""),
    "seldon core's operator": ([entry("manager")], ""),
    "a status": ([entry("x", subresource="scale", fields={"f:status": {}})], ""),
    "no name": ([entry("", subresource="scale")], "somebody"),
}


@pytest.mark.parametrize(("entries", "owner"), CASES.values(), ids=CASES)
def test_who_sets_the_replicas(entries, owner):
    assert scaled_by({"metadata": {"managedFields": entries}}) == owner
    assert scaled_by({"metadata": {}}) == ""
