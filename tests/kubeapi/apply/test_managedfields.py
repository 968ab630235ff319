import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeapi.apply import fieldsets
from kubeapi.apply.fieldsets import FieldError, format_fields, parse_fields, path_text
from kubeapi.apply.managedfields import ApplyConflict, Write, apply, manager_from_user_agent, update

CONTAINER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
        "env": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
            },
        },
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
            "items": {
                "type": "object",
                "properties": {
                    "containerPort": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                    "name": {"type": "string"},
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "uri": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "roles": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "selector": {"type": "object", "x-kubernetes-map-type": "atomic"},
                "containers": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": CONTAINER,
                },
                "explainer": {
                    "type": "object",
                    "properties": {"type": {"type": "string"}, "uri": {"type": "string"}},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}
V1 = "example.org/v1"


def obj(*, labels=None, status=None, **spec):
    metadata = {"name": "a", "namespace": "n"} | ({"labels": labels} if labels is not None else {})
    made = {"apiVersion": V1, "kind": "Thing", "metadata": metadata, "spec": spec}
    return made | ({"status": status} if status is not None else {})


def by(manager, *, now="2026-01-01T00:00:00Z", subresource=""):
    return Write(manager=manager, api_version=V1, now=now, subresource=subresource, status=True)


def managers(stored):
    """{(manager, operation, subresource): [paths as text]} of a stored object."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): sorted(
            path_text(path) for path in parse_fields(entry["fieldsV1"])
        )
        for entry in stored["metadata"].get("managedFields", [])
    }


def do_apply(live, config, manager="x", *, force=False, now="2026-01-01T00:00:00Z"):
    return apply(live, config, SCHEMA, by(manager, now=now), force=force)


# --- FieldsV1 ---------------------------------------------------------------------------------------------


def test_fields_round_trip():
    fields = {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}}},
            "f:roles": {'v:"admin"': {}},
        },
    }
    assert format_fields(parse_fields(fields)) == fields


PATHS = st.sets(
    st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"']), min_size=1, max_size=4).map(tuple)
)


@given(PATHS)
def test_any_set_of_paths_survives_the_round_trip(paths):
    assert parse_fields(format_fields(paths)) == paths


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:spec", 'k:{"name":"a"}', "f:image"), '.spec[name="a"].image'),
        (("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'), '.ports[containerPort=80,protocol="TCP"]'),
        (("f:metadata", "f:finalizers", 'v:"x/y"'), '.metadata.finalizers[="x/y"]'),
        (("f:list", "i:3"), ".list[3]"),
    ],
)
def test_paths_as_text(path, text):
    assert path_text(path) == text


# --- update -----------------------------------------------------------------------------------------------


def test_create_owns_every_node():
    made = update(None, obj(labels={"app": "x"}, replicas=1, tags=["a"]), SCHEMA, by("kubectl-create"))
    assert managers(made) == {
        ("kubectl-create", "Update", ""): [
            ".metadata.labels",
            ".metadata.labels.app",
            ".spec",
            ".spec.replicas",
            ".spec.tags",
        ]
    }
    (entry,) = made["metadata"]["managedFields"]
    assert entry["fieldsType"] == "FieldsV1"
    assert entry["apiVersion"] == V1
    assert entry["time"] == "2026-01-01T00:00:00Z"
    assert entry["fieldsV1"]["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}


def test_update_takes_what_it_changes_from_the_other():
    made = update(None, obj(replicas=1, uri="a"), SCHEMA, by("one"))
    changed = obj(replicas=2, uri="a")
    after = update(made, changed, SCHEMA, by("two"))
    assert managers(after) == {
        ("one", "Update", ""): [".spec", ".spec.uri"],
        ("two", "Update", ""): [".spec.replicas"],
    }


def test_update_that_removes_leaves_no_owner():
    made = update(None, obj(replicas=1, uri="a"), SCHEMA, by("one"))
    after = update(made, obj(replicas=1), SCHEMA, by("two"))
    assert managers(after) == {("one", "Update", ""): [".spec", ".spec.replicas"]}


def test_update_without_change_leaves_managed_fields_as_they_are():
    made = update(None, obj(replicas=1), SCHEMA, by("one"))
    again = update(made, obj(replicas=1), SCHEMA, by("one", now="2027-01-01T00:00:00Z"))
    other = update(made, obj(replicas=1), SCHEMA, by("two", now="2027-01-01T00:00:00Z"))
    assert made["metadata"]["managedFields"] == again["metadata"]["managedFields"]
    assert made["metadata"]["managedFields"] == other["metadata"]["managedFields"]


def test_status_writes_are_their_own_entry():
    made = update(None, obj(replicas=1), SCHEMA, by("kubectl"))
    after = update(made, obj(replicas=1, status={"replicas": 1}), SCHEMA, by("kubectl", subresource="status"))
    assert managers(after) == {
        ("kubectl", "Update", ""): [".spec", ".spec.replicas"],
        ("kubectl", "Update", "status"): [".status", ".status.replicas"],
    }


def test_update_changes_only_managed_fields_and_no_argument():
    live, new = update(None, obj(replicas=1), SCHEMA, by("one")), obj(replicas=2)
    before = copy.deepcopy((live, new))
    after = update(live, new, SCHEMA, by("two"))
    assert (live, new) == before
    after["metadata"].pop("managedFields")
    assert after == new


def test_sent_managed_fields_replace_the_present_ones():
    made = update(None, obj(replicas=1), SCHEMA, by("one"))
    sent = copy.deepcopy(made)
    sent["metadata"]["managedFields"][0]["manager"] = "renamed"
    assert managers(update(made, sent, SCHEMA, by("x"))) == {
        ("renamed", "Update", ""): [".spec", ".spec.replicas"]
    }
    for nothing in ([], [{}]):
        sent["metadata"]["managedFields"] = nothing
        assert "managedFields" not in update(made, sent, SCHEMA, by("x"))["metadata"]


def test_server_fields_have_no_owner():
    new = obj(replicas=1)
    new["metadata"] |= {"uid": "1", "resourceVersion": "2", "creationTimestamp": "now", "generation": 1}
    assert managers(update(None, new, SCHEMA, by("x"))) == {("x", "Update", ""): [".spec", ".spec.replicas"]}


# --- apply ------------------------------------------------------------------------------------------------


def test_apply_creates_and_owns_the_leaves():
    made = do_apply(None, obj(labels={"app": "x"}, replicas=1, explainer={"type": "t"}))
    assert made["spec"] == {"replicas": 1, "explainer": {"type": "t"}}
    assert managers(made) == {
        ("x", "Apply", ""): [".metadata.labels.app", ".spec.explainer.type", ".spec.replicas"]
    }


def test_apply_again_changes_nothing():
    made = do_apply(None, obj(replicas=1))
    assert do_apply(made, obj(replicas=1), now="2027-01-01T00:00:00Z") == made


def test_apply_of_a_changed_value_moves_the_time():
    made = do_apply(None, obj(replicas=1))
    after = do_apply(made, obj(replicas=2), now="2027-01-01T00:00:00Z")
    assert after["spec"] == {"replicas": 2}
    assert after["metadata"]["managedFields"][0]["time"] == "2027-01-01T00:00:00Z"


def test_apply_keeps_what_others_set():
    live = update(None, obj(labels={"a": "1"}, replicas=1), SCHEMA, by("creator"))
    after = do_apply(live, obj(labels={"b": "2"}, uri="u"))
    assert after["spec"] == {"replicas": 1, "uri": "u"}
    assert after["metadata"]["labels"] == {"a": "1", "b": "2"}


def test_fields_no_longer_applied_go_away():
    made = do_apply(None, obj(labels={"a": "1"}, replicas=1, explainer={"type": "t", "uri": "u"}))
    after = do_apply(made, obj(replicas=1, explainer={"type": "t"}))
    assert after["spec"] == {"replicas": 1, "explainer": {"type": "t"}}
    assert "labels" not in after["metadata"]
    assert do_apply(after, obj(replicas=1))["spec"] == {"replicas": 1}


def test_what_the_server_keeps_in_metadata_survives():
    made = do_apply(None, obj(labels={"a": "1"}))
    made["metadata"] |= {"uid": "1", "resourceVersion": "2"}
    after = do_apply(made, obj())
    assert after["metadata"]["uid"] == "1"
    assert after["metadata"]["resourceVersion"] == "2"
    assert "labels" not in after["metadata"]


def test_fields_no_longer_applied_stay_when_another_owns_them():
    made = do_apply(None, obj(replicas=1, uri="u"), "x")
    both = do_apply(made, obj(replicas=1), "y")
    after = do_apply(both, obj(uri="u"), "x")
    assert after["spec"] == {"replicas": 1, "uri": "u"}
    assert managers(after) == {("x", "Apply", ""): [".spec.uri"], ("y", "Apply", ""): [".spec.replicas"]}


def test_defaults_inside_a_removed_item_go_with_it():
    made = do_apply(None, obj(containers=[{"name": "a"}, {"name": "b"}]))
    for container in made["spec"]["containers"]:
        container["image"] = "default"
    after = do_apply(made, obj(containers=[{"name": "b"}]))
    assert after["spec"]["containers"] == [{"name": "b", "image": "default"}]


def test_what_nobody_applied_is_not_removed():
    made = do_apply(None, obj(explainer={"type": "t"}))
    made["spec"]["replicas"] = 1
    assert do_apply(made, obj(uri="u"))["spec"] == {"replicas": 1, "uri": "u"}


def test_conflict_is_worded_as_kubectl_prints_it():
    live = update(None, obj(replicas=1, uri="u"), SCHEMA, by("kubectl-edit"))
    with pytest.raises(ApplyConflict) as raised:
        do_apply(live, obj(replicas=2))
    assert str(raised.value) == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using example.org/v1: .spec.replicas'
    )
    (cause,) = raised.value.causes()
    assert cause.as_dict() == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-edit" using example.org/v1',
        "field": ".spec.replicas",
    }


def test_several_conflicts_are_listed_by_owner():
    live = do_apply(None, obj(replicas=1), "b")
    live = update(live, live | {"spec": {"replicas": 1, "uri": "u", "tags": ["a"]}}, SCHEMA, by("a"))
    with pytest.raises(ApplyConflict) as raised:
        do_apply(live, obj(replicas=2, uri="v", tags=["b"]))
    assert str(raised.value) == (
        'Apply failed with 3 conflicts: conflicts with "a" using example.org/v1:\n'
        '- .spec.tags\n- .spec.uri\nconflicts with "b":\n- .spec.replicas'
    )
    assert len(raised.value.causes()) == 3


def test_conflict_names_the_subresource():
    live = update(None, obj(replicas=1), SCHEMA, by("hpa", subresource="scale"))
    with pytest.raises(
        ApplyConflict, match=r'conflict with "hpa" with subresource "scale" using example\.org/v1'
    ):
        do_apply(live, obj(replicas=2))


def test_the_same_value_is_shared_not_a_conflict():
    live = do_apply(None, obj(replicas=1), "a")
    after = do_apply(live, obj(replicas=1), "b")
    assert managers(after) == {("a", "Apply", ""): [".spec.replicas"], ("b", "Apply", ""): [".spec.replicas"]}


def test_force_takes_the_field():
    live = do_apply(None, obj(replicas=1, uri="u"), "a")
    after = do_apply(live, obj(replicas=2), "b", force=True)
    assert after["spec"] == {"replicas": 2, "uri": "u"}
    assert managers(after) == {("a", "Apply", ""): [".spec.uri"], ("b", "Apply", ""): [".spec.replicas"]}


def test_apply_and_update_of_one_name_are_two_owners():
    live = update(None, obj(replicas=1), SCHEMA, by("kubectl"))
    with pytest.raises(ApplyConflict):
        do_apply(live, obj(replicas=2), "kubectl")


def test_update_takes_fields_from_appliers():
    live = do_apply(None, obj(replicas=1, uri="u"), "a")
    after = update(live, live | {"spec": {"replicas": 5, "uri": "u"}}, SCHEMA, by("scaler"))
    assert managers(after) == {
        ("a", "Apply", ""): [".spec.uri"],
        ("scaler", "Update", ""): [".spec.replicas"],
    }


def test_status_in_an_applied_object_is_ignored():
    made = do_apply(None, obj(replicas=1, status={"replicas": 3}))
    assert "status" not in made
    assert managers(made) == {("x", "Apply", ""): [".spec.replicas"]}


def test_apply_to_the_status_subresource():
    live = do_apply(None, obj(replicas=1))
    write = by("controller", subresource="status")
    after = apply(live, obj(labels={"a": "1"}, replicas=9, status={"replicas": 1}), SCHEMA, write)
    assert after["spec"] == {"replicas": 1}
    assert after["status"] == {"replicas": 1}
    assert "labels" not in after["metadata"]
    assert managers(after)["controller", "Apply", "status"] == [".status.replicas"]


def test_kind_without_status_subresource_applies_its_status():
    write = Write(manager="x", api_version=V1, now="now")
    assert apply(None, obj(status={"replicas": 3}), SCHEMA, write)["status"] == {"replicas": 3}


def test_applied_nulls_stay_for_the_schema_to_refuse():
    made = do_apply(None, obj(replicas=1, uri=None))
    assert made["spec"] == {"replicas": 1, "uri": None}
    assert managers(made) == {("x", "Apply", ""): [".spec.replicas", ".spec.uri"]}


def test_live_object_without_owners_belongs_to_before_first_apply():
    with pytest.raises(ApplyConflict, match=r'conflict with "before-first-apply" using example\.org/v1'):
        do_apply(obj(replicas=1), obj(replicas=2))
    after = do_apply(obj(replicas=1, uri="u"), obj(replicas=1))
    assert after["spec"] == {"replicas": 1, "uri": "u"}


def test_apply_changes_no_argument():
    live = do_apply(None, obj(replicas=1, containers=[{"name": "a"}], free={"a": {"b": 1}}))
    config = obj(containers=[{"name": "b"}], free={"a": {"c": 1}})
    before = copy.deepcopy((live, config))
    do_apply(live, config)
    assert (live, config) == before


# --- lists and maps ---------------------------------------------------------------------------------------


def test_keyed_lists_merge_by_key():
    live = update(
        None,
        obj(containers=[{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "side"}]),
        SCHEMA,
        by("creator"),
    )
    after = do_apply(
        live, obj(containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}]}, {"name": "new"}])
    )
    assert after["spec"]["containers"] == [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "side"},
        {"name": "new"},
    ]
    assert managers(after)["x", "Apply", ""] == [
        '.spec.containers[name="a"]',
        '.spec.containers[name="a"].env[name="Y"]',
        '.spec.containers[name="a"].env[name="Y"].name',
        '.spec.containers[name="a"].env[name="Y"].value',
        '.spec.containers[name="a"].name',
        '.spec.containers[name="new"]',
        '.spec.containers[name="new"].name',
    ]


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ("abc", "abc", "abc"),
        ("abc", "cba", "cba"),
        ("ab", "bc", "abc"),
        ("ac", "abc", "abc"),
        ("xa", "a", "xa"),
        ("ax", "a", "ax"),
        ("", "ab", "ab"),
        ("ab", "c", "abc"),
        ("axby", "ba", "baxy"),
    ],
)
def test_merged_lists_keep_everybodys_order(live, applied, merged):
    assert "".join(fieldsets.merge(list(live), list(applied), {"x-kubernetes-list-type": "set"})) == merged


def test_list_keys_have_defaults():
    live = do_apply(None, obj(containers=[{"name": "a", "ports": [{"containerPort": 80}]}]), "a")
    after = do_apply(
        live,
        obj(containers=[{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}]),
        "b",
    )
    (port,) = after["spec"]["containers"][0]["ports"]
    assert port == {"containerPort": 80, "protocol": "TCP", "name": "http"}


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        (
            [{"image": "x"}],
            r"^\.spec\.containers: element 0: associative list with keys has an element that omits",
        ),
        ([{"name": "a"}, {"name": "a"}], r'^\.spec\.containers: duplicate entries for key \[name="a"\]'),
        (["a"], r"^\.spec\.containers: element 0: associative list with keys may not have non-map elements"),
        ([{"name": "a", "env": [{"value": "1"}]}], r'^\.spec\.containers\[name="a"\]\.env: element 0'),
    ],
)
def test_list_items_that_cannot_be_told_apart(containers, message):
    with pytest.raises(FieldError, match=message):
        do_apply(None, obj(containers=containers))


def test_sets_merge_and_shrink():
    live = do_apply(None, obj(roles=["a", "b"]), "one")
    live = do_apply(live, obj(roles=["b", "c"]), "two")
    assert sorted(live["spec"]["roles"]) == ["a", "b", "c"]
    after = do_apply(live, obj(roles=[]), "one")
    assert after["spec"]["roles"] == ["b", "c"]


def test_atomic_lists_and_maps_are_replaced():
    live = do_apply(None, obj(tags=["a", "b"], selector={"a": "1"}))
    after = do_apply(live, obj(tags=["c"], selector={"b": "2"}))
    assert after["spec"] == {"tags": ["c"], "selector": {"b": "2"}}
    assert managers(after)["x", "Apply", ""] == [".spec.selector", ".spec.tags"]
    with pytest.raises(ApplyConflict, match=r": \.spec\.tags"):
        do_apply(after, obj(tags=["c", "d"]), "y")


def test_finalizers_are_a_set_and_owners_keyed_by_uid():
    def owner(uid):
        return {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}

    one, two = obj(), obj()
    one["metadata"] |= {"finalizers": ["x/a"], "ownerReferences": [owner("1")]}
    two["metadata"] |= {"finalizers": ["x/b"], "ownerReferences": [owner("2")]}
    after = do_apply(do_apply(None, one, "one"), two, "two")
    assert sorted(after["metadata"]["finalizers"]) == ["x/a", "x/b"]
    assert sorted(o["uid"] for o in after["metadata"]["ownerReferences"]) == ["1", "2"]
    assert (
        managers(after)["two", "Apply", ""]
        == [
            '.metadata.finalizers[="x/b"]',
            '.metadata.ownerReferences[uid="2"]',
            ".spec",
        ]
        or ".spec" in managers(after)["two", "Apply", ""]
    )


def test_unknown_parts_are_granular_maps_and_atomic_lists():
    live = do_apply(None, obj(free={"a": {"b": 1}, "list": [{"x": 1}]}), "one")
    after = do_apply(live, obj(free={"a": {"c": 2}}), "two")
    assert after["spec"]["free"] == {"a": {"b": 1, "c": 2}, "list": [{"x": 1}]}
    with pytest.raises(ApplyConflict, match=r"\.spec\.free\.list"):
        do_apply(after, obj(free={"list": []}), "two")


def test_kinds_without_schema():
    write = Write(manager="x", api_version="v1", now="now")
    live = apply(None, {"metadata": {"name": "a"}, "data": {"a": "1", "b": "2"}}, None, write)
    after = apply(live, {"metadata": {"name": "a"}, "data": {"a": "1"}}, None, write)
    assert after["data"] == {"a": "1"}


def test_a_scalar_where_a_map_was():
    live = do_apply(None, obj(free={"a": {"b": 1}}))
    assert do_apply(live, obj(free={"a": 5}))["spec"]["free"] == {"a": 5}


# --- properties -------------------------------------------------------------------------------------------

SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 2),
        "uri": st.sampled_from(["a", "b"]),
        "tags": st.lists(st.sampled_from("ab"), max_size=2),
        "roles": st.lists(st.sampled_from("abc"), unique=True, max_size=3),
        "explainer": st.dictionaries(st.sampled_from(["type", "uri"]), st.sampled_from("xy")),
        "containers": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from("abc")}, optional={"image": st.sampled_from("12")}
            ),
            max_size=3,
            unique_by=lambda c: c["name"],
        ),
        "free": st.dictionaries(
            st.sampled_from("ab"), st.dictionaries(st.sampled_from("cd"), st.integers(0, 1))
        ),
    },
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), SPECS), min_size=1, max_size=5))
def test_applying_twice_is_applying_once(steps):
    live = None
    for manager, spec in steps:
        live = do_apply(live, obj(**spec), manager, force=True)
        assert do_apply(live, obj(**spec), manager, now="later") == live


@given(SPECS, SPECS)
def test_one_applier_gets_exactly_what_it_applies(first, second):
    def tidy(spec):
        shaped = {**spec, "roles": sorted(spec.get("roles", []))}
        shaped["containers"] = sorted(spec.get("containers", []), key=lambda c: c["name"])
        return {key: value for key, value in shaped.items() if value not in ([], {})}

    live = do_apply(do_apply(None, obj(**first)), obj(**second))
    assert tidy(live.get("spec", {})) == tidy(second)


@given(SPECS, SPECS)
def test_forced_apply_leaves_no_field_with_two_minds(first, second):
    live = do_apply(do_apply(None, obj(**first), "a"), obj(**second), "b", force=True)
    wanted = fieldsets.field_set(obj(**second), fieldsets.object_schema(SCHEMA))
    assert set(managers(live).get(("b", "Apply", ""), [])) == {path_text(path) for path in wanted}
    for key, value in second.items():
        if not isinstance(value, list | dict):
            assert live["spec"][key] == value


@pytest.mark.parametrize(
    ("agent", "manager"),
    [("kubectl/v1.32 (linux)", "kubectl"), ("curl", "curl"), ("", "unknown"), ("a" * 200, "a" * 128)],
)
def test_manager_from_user_agent(agent, manager):
    assert manager_from_user_agent(agent) == manager
