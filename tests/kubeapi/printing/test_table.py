from datetime import UTC, datetime, timedelta

import pytest

from bailie.api.crd import crd_manifests
from kubeapi.bootstrap import catalogue
from kubeapi.printing import table
from kubeapi.printing.ages import age, duration
from kubeapi.printing.columns import pod_status
from kubeapi.printing.jsonpath import JSONPathError, find
from kubeapi.registry.ports import NodePorts
from kubeapi.verbs.views import view_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CATALOGUE = catalogue(crd_manifests(), NodePorts())
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def resource(plural, group=""):
    return next(r for r in CATALOGUE if r.kind.plural == plural and r.kind.group == group)


def rows(plural, *objects, group="", include="Metadata"):
    """The table as {column: cell} per object."""
    made = table.render(resource(plural, group), objects, metadata={}, include=include, now=NOW)
    names = [column["name"] for column in made["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in made["rows"]]


def meta(**more):
    return {"name": "a", "namespace": "n", "creationTimestamp": "2026-01-01T23:55:00Z", "uid": "1"} | more


# --- ages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (timedelta(seconds=-5), "<invalid>"),
        (timedelta(seconds=-1), "0s"),
        (timedelta(0), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=3, seconds=20), "3m20s"),
        (timedelta(minutes=10, seconds=20), "10m"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=7, minutes=5), "7h5m"),
        (timedelta(hours=8, minutes=5), "8h"),
        (timedelta(hours=47), "47h"),
        (timedelta(hours=48), "2d"),
        (timedelta(days=2, hours=5), "2d5h"),
        (timedelta(days=8, hours=5), "8d"),
        (timedelta(days=729), "729d"),
        (timedelta(days=730), "2y"),
        (timedelta(days=740), "2y10d"),
        (timedelta(days=365 * 9), "9y"),
    ],
)
def test_durations(delta, text):
    assert duration(delta.total_seconds()) == text


def test_ages():
    assert age("2026-01-01T23:59:00Z", NOW) == "60s"
    assert age("2026-01-01T23:59:00.123456Z", NOW) == "59s"
    assert age(None, NOW) == "<unknown>"
    assert age("yesterday", NOW) == "<invalid>"


# --- JSONPath -----------------------------------------------------------------------------------------------

OBJ = {
    "metadata": {"labels": {"app.kubernetes.io/name": "x"}},
    "spec": {"list": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": True}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.list[0].name", ["a"]),
        ("{.spec.list[0].name}", ["a"]),
        ("$.spec.list[-1].name", ["b"]),
        ("spec.list[*].n", [1, 2]),
        (".spec.list[5].name", []),
        (".metadata.labels['app.kubernetes.io/name']", ["x"]),
        (r".metadata.labels.app\.kubernetes\.io/name", ["x"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type!="Ready")].status', [True]),
        (".status.conditions[?(@.status==true)].type", ["Other"]),
        (".spec.list[?(@.n==2)].name", ["b"]),
        (".nothing.at.all", []),
        (".spec.list.name", []),
        (".metadata.labels[*]", ["x"]),
        (".", [OBJ]),
    ],
)
def test_jsonpath(path, found):
    assert find(path, OBJ) == found


@pytest.mark.parametrize("path", ["..name", ".a[", ".a[?(@.x>1)]", ".a[1:2]"])
def test_jsonpath_outside_the_supported_part(path):
    with pytest.raises(JSONPathError):
        find(path, OBJ)


def test_every_declared_column_can_be_read():
    for served in CATALOGUE:
        assert table.columns_of(served)[0].name in {"Name", "Last Seen"}
        table.render(served, [{"metadata": meta()}], metadata={}, include="None", now=NOW)


# --- custom resources ---------------------------------------------------------------------------------------


def test_model_columns():
    ready = {"type": "ModelReady", "status": "True"}
    model = {
        "metadata": meta(),
        "spec": {"replicas": 2},
        "status": {"availableReplicas": 1, "conditions": [ready]},
    }
    (row,) = rows("models", model, group="mlops.seldon.io")
    assert row["Name"] == "a"
    assert row["Ready"] == "True"
    assert row["Desired Replicas"] == 2
    assert row["Available Replicas"] == 1
    assert row["Age"] == "5m"


def test_missing_values_are_null():
    (row,) = rows("models", {"metadata": meta()}, group="mlops.seldon.io")
    assert row["Ready"] is None
    assert row["Desired Replicas"] is None


def test_priority_is_in_the_definition():
    made = table.render(resource("models", "mlops.seldon.io"), [], metadata={}, include="None", now=NOW)
    by_name = {column["name"]: column for column in made["columnDefinitions"]}
    assert by_name["Name"]["format"] == "name"
    assert by_name["Ready"]["priority"] == 0
    assert {column["priority"] for column in made["columnDefinitions"]} == {0, 1}


# --- built-in kinds -----------------------------------------------------------------------------------------


def pod(*, phase="Running", containers=(), conditions=(), **more):
    spec = {"containers": [{"name": str(i)} for i, _ in enumerate(containers)], "nodeName": "laptop"}
    status = {
        "phase": phase,
        "containerStatuses": list(containers),
        "conditions": list(conditions),
        "podIP": "127.0.0.2",
    }
    return {"metadata": meta(**more.pop("metadata", {})), "spec": spec, "status": status | more}


RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (pod(containers=[RUNNING]), "Running"),
        (pod(phase="Pending"), "Pending"),
        ({"metadata": meta()}, "Pending"),
        (pod(containers=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]), "CrashLoopBackOff"),
        (pod(containers=[RUNNING], metadata={"deletionTimestamp": "now"}), "Terminating"),
        (
            pod(phase="Succeeded", containers=[{"state": {"terminated": {"reason": "Completed"}}}]),
            "Completed",
        ),
        (pod(phase="Failed", containers=[{"state": {"terminated": {"exitCode": 3}}}]), "ExitCode:3"),
        (
            pod(phase="Failed", containers=[{"state": {"terminated": {"signal": 9, "exitCode": 137}}}]),
            "Signal:9",
        ),
        (pod(phase="Failed", reason="Evicted"), "Evicted"),
        (pod(containers=[{"state": {"terminated": {"reason": "Completed"}}}, RUNNING]), "NotReady"),
        (
            pod(
                containers=[{"state": {"terminated": {"reason": "Completed"}}}, RUNNING],
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "Running",
        ),
        (pod(initContainerStatuses=[{"state": {"running": {}}}]), "Init:0/0"),
        (
            pod(initContainerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull"}}}]),
            "Init:ErrImagePull",
        ),
        (
            pod(containers=[RUNNING], initContainerStatuses=[{"state": {"terminated": {"exitCode": 0}}}]),
            "Running",
        ),
    ],
)
def test_pod_status(made, word):
    assert pod_status(made) == word


def test_pod_row():
    ended = {"terminated": {"finishedAt": "2026-01-01T23:50:00Z"}}
    (row,) = rows("pods", pod(containers=[RUNNING, {"ready": False, "restartCount": 3, "lastState": ended}]))
    assert row["Ready"] == "1/2"
    assert row["Restarts"] == "3 (10m ago)"
    assert row["IP"] == "127.0.0.2"
    assert row["Node"] == "laptop"
    assert row["Nominated Node"] == "<none>"


def test_service_row():
    spec = {
        "type": "NodePort",
        "clusterIP": "None",
        "selector": {"b": "2", "a": "1"},
        "ports": [{"port": 80, "nodePort": 30000, "protocol": "TCP"}, {"port": 9000}],
    }
    (row,) = rows("services", {"metadata": meta(), "spec": spec})
    assert row["Type"] == "NodePort"
    assert row["External-IP"] == "<none>"
    assert row["Port(s)"] == "80:30000/TCP,9000/TCP"
    assert row["Selector"] == "a=1,b=2"


@pytest.mark.parametrize(
    ("service", "address"),
    [
        ({"spec": {"type": "ExternalName", "externalName": "x.y"}}, "x.y"),
        ({"spec": {"type": "LoadBalancer"}}, "<pending>"),
        (
            {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}},
            "1.2.3.4",
        ),
        ({"spec": {"externalIPs": ["1.1.1.1"]}}, "1.1.1.1"),
    ],
)
def test_external_addresses(service, address):
    assert rows("services", {"metadata": meta()} | service)[0]["External-IP"] == address


def test_event_rows():
    event = {
        "metadata": meta(),
        "involvedObject": {"kind": "Model", "name": "iris"},
        "type": "Warning",
        "reason": "NoCapacity",
        "message": "0/3 servers fit\n",
        "lastTimestamp": "2026-01-01T23:59:00Z",
        "firstTimestamp": "2026-01-01T23:00:00Z",
        "count": 4,
        "source": {"component": "scheduler"},
    }
    (row,) = rows("events", event)
    assert list(row.values()) == [
        "60s", "Warning", "NoCapacity", "model/iris", "", "scheduler", "0/3 servers fit", "60m", 4, "a",
    ]  # fmt: skip
    newer = {
        "metadata": meta(),
        "regarding": {"kind": "Pod", "name": "p"},
        "note": "n",
        "eventTime": "2026-01-01T23:59:30Z",
    }
    (row,) = rows("events", newer, group="events.k8s.io")
    assert (row["Last Seen"], row["Object"], row["Message"], row["Count"]) == ("30s", "pod/p", "n", 1)


@pytest.mark.parametrize(
    ("plural", "group", "obj", "cells"),
    [
        ("configmaps", "", {"data": {"a": "1"}, "binaryData": {"b": ""}}, ["a", 2, "5m"]),
        ("secrets", "", {"type": "Opaque", "data": {"a": ""}}, ["a", "Opaque", 1, "5m"]),
        ("namespaces", "", {"status": {"phase": "Active"}}, ["a", "Active", "5m"]),
        ("serviceaccounts", "", {}, ["a", 0, "5m"]),
        ("leases", "coordination.k8s.io", {"spec": {"holderIdentity": "me"}}, ["a", "me", "5m"]),
        ("roles", "rbac.authorization.k8s.io", {}, ["a", "2026-01-01T23:55:00Z"]),
        ("customresourcedefinitions", "apiextensions.k8s.io", {}, ["a", "2026-01-01T23:55:00Z"]),
        (
            "rolebindings",
            "rbac.authorization.k8s.io",
            {
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [
                    {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
                    {"kind": "User", "name": "u"},
                ],
            },
            ["a", "Role/r", "5m", "u", "", "n/s"],
        ),
    ],
)
def test_other_builtin_kinds(plural, group, obj, cells):
    (row,) = rows(plural, {"metadata": meta()} | obj, group=group)
    assert list(row.values()) == cells


# --- views --------------------------------------------------------------------------------------------------


def listed(*items):
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": list(items)}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (TABLE, "Table"),
        ("application/json", ""),
        ("", ""),
        ("*/*", ""),
        ("application/json, application/json;as=Table;v=v1;g=meta.k8s.io", ""),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", ""),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "PartialObjectMetadataList"),
    ],
)
def test_forms(accept, form):
    assert view_of(resource("pods"), accept, {}).form == form


def test_list_as_table_carries_metadata_by_default():
    view = view_of(resource("pods"), TABLE, {})
    made = view.many(listed({"metadata": meta(), "spec": {"containers": []}}))
    assert made["kind"] == "Table"
    assert made["metadata"] == {"resourceVersion": "9"}
    (row,) = made["rows"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["namespace"] == "n"


@pytest.mark.parametrize(
    ("include", "kind"), [("Object", "Pod"), ("Metadata", "PartialObjectMetadata"), ("None", None)]
)
def test_include_object(include, kind):
    view = view_of(resource("pods"), TABLE, {"includeObject": include})
    (row,) = view.many(listed({"metadata": meta(), "spec": {}}))["rows"]
    assert (row["object"]["kind"] if kind else row.get("object")) == kind


def test_watch_defines_columns_once_and_bookmarks_have_no_rows():
    show = view_of(resource("pods"), TABLE, {}).watched()
    first, second = show(pod()), show(pod())
    assert first["columnDefinitions"]
    assert second["columnDefinitions"] == []
    assert len(second["rows"]) == 1
    bookmark = show({"kind": "Pod", "metadata": {"resourceVersion": "12"}})
    assert bookmark["rows"] == []
    assert bookmark["metadata"] == {"resourceVersion": "12"}


def test_plain_and_partial_views():
    plain = view_of(resource("pods"), "application/json", {})
    assert plain.one(pod()) == pod()
    assert plain.watched()(pod()) == pod()
    partial = view_of(resource("pods"), "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", {})
    assert set(partial.one(pod())) == {"kind", "apiVersion", "metadata"}
    assert partial.many(listed(pod()))["kind"] == "PartialObjectMetadataList"
