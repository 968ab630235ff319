"""The Envoy resources of a table, pinned by golden files (`pytest tests/gateway --update-golden`)."""

import re
from collections import Counter
from dataclasses import replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dataplane import encoded, opened, plain

from bailie.gateway import descriptors, mirrors, routes, shares
from bailie.gateway.access_log import BUCKETS
from bailie.gateway.bootstrap import BOOTSTRAP, EnvoySettings, envoy_bootstrap
from bailie.gateway.clusters import CALLS, Protocol, cluster_name
from bailie.gateway.listener import Address, handed_back_listener, listener
from bailie.gateway.namespace_routes import NAMESPACE_SCOPE
from bailie.gateway.publisher import Gateway
from bailie.gateway.resources import (
    BUCKET_URL,
    CLUSTER_URL,
    ENDPOINTS_URL,
    LISTENER_URL,
    SCOPE_URL,
    SLICE,
    Encoder,
)
from bailie.routing.table import (
    Asleep,
    Backend,
    Elsewhere,
    NotReady,
    ReplicaEndpoint,
    Route,
    RouteMirror,
    RoutingTable,
)

R0 = ReplicaEndpoint("mlserver-0", "127.70.0.4", 9000, 9500)
R1 = ReplicaEndpoint("mlserver-1", "127.70.0.5", 9000, 9500)
TABLE = RoutingTable(
    "seldon-system",
    {
        "iris": Route((Backend("iris_3", 1, (R0, R1)),)),
        "split": Route((Backend("split_1", 80, (R0, R1)), Backend("split_2", 20, (R1,)))),
        "slow": NotReady("Loading", "mlserver-0 is loading it"),
        "old": Elsewhere("seldon-mesh.old.svc", 80),
        "rare": Asleep("rare_3", 7),
    },
)
SHADOW = Route((Backend("shadow_2", 1, (R1,)),))
SHARES = Route(
    (Backend("iris_3", 90, (R0, R1)), Backend("rose_1", 0, (R1,))),
    sticky=True,
    mirror=RouteMirror("shadow", 5),
)
MIRRORED = RoutingTable("seldon-system", {"flower.experiment": SHARES}, {"shadow": SHADOW})


@pytest.mark.parametrize("name", ["iris", "split", "slow", "old", "rare", NAMESPACE_SCOPE])
def test_scope(golden, name):
    snapshot = encoded(Encoder(), TABLE, 1)
    golden.check(
        f"scope-{'namespace' if name == NAMESPACE_SCOPE else name}",
        opened(snapshot.resources[SCOPE_URL][name]),
    )


def test_agents_are_told_the_version_in_a_header(golden):
    agent = ReplicaEndpoint("mlserver-0.held", "127.70.0.4", 9001, 9501)
    entries = {"evicted": Route((Backend("evicted_1", 1, (agent,)),))}
    found = encoded(Encoder(), RoutingTable("seldon-system", entries), 1).resources[SCOPE_URL]
    golden.check("scope-evicted", opened(found["evicted"]))


def test_an_experiment_with_a_mirror(golden):
    found = encoded(Encoder(), MIRRORED, 1).resources
    golden.check("scope-experiment", opened(found[SCOPE_URL]["flower.experiment"]))
    golden.check("scope-mirror", opened(found[SCOPE_URL]["/v2/models/shadow"]))
    (copies,) = found[LISTENER_URL].values()
    http = opened(copies)["filter_chains"][0]["filters"][0]["typed_config"]
    golden.check("listener-mirror", {key: each for key, each in http.items() if key != "http_filters"})
    for protocol in CALLS:
        name = f"mirror/{protocol.value}"
        golden.check(f"cluster-mirror-{protocol.value}", opened(found[CLUSTER_URL][name]))


@pytest.mark.parametrize("number", [1, 2, 50])
def test_a_mirror_has_half_of_the_copies_on_however_many_replicas(number):
    replicas = tuple(replace(R0, name=f"mlserver-{each:02}") for each in range(number))
    entry = Route((Backend("shadow_2", 1, replicas),))
    made = routes.scope("ns", mirrors.key_of("shadow"), entry, 1_000)
    (host,) = made.route_configuration.virtual_hosts
    assert limit_of(host) == mirrors.MOST_COPIES // 2


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("places", [(1, 1), (1, 1, 1), (1, 1, 2), (1, 2), (2, 1, 2, 1)])
def test_the_backends_of_a_name_have_one_share_of_the_places_on_the_same_replicas(places, sticky):
    backends = [Backend(f"m{number}_1", 1, (R0, R1)[:each]) for number, each in enumerate(places)]
    made = routes.scope("ns", "m", Route(tuple(backends), sticky), 120)
    (host,) = made.route_configuration.virtual_hosts
    if len({*places}) == 1:
        assert limit_of(host) == 120 * places[0]
        return
    found = Counter()
    for cluster in (each for route in host.routes for each in route.route.weighted_clusters.clusters):
        found[cluster.name] += limit_of(cluster)
    names = {
        cluster_name(each, protocol): 120 * len(each.replicas) for each in backends for protocol in CALLS
    }
    assert found == names


def limit_of(place):
    """Returns how many requests the share has places for that is configured at a place."""
    share = plain(place.typed_per_filter_config[shares.FILTER])
    return int(re.search(r"max_concurrency_limit\D*(\d+)", str(share))[1])


def test_what_mirrors_need_is_there_only_with_a_mirror():
    encoder = Encoder()
    encoded(encoder, MIRRORED, 1)
    without = replace(MIRRORED, entries={"flower.experiment": replace(SHARES, mirror=None)}, mirrors={})
    found = encoded(encoder, without, 2).resources
    assert found[LISTENER_URL] == {}
    assert set(found[SCOPE_URL]) == {NAMESPACE_SCOPE, "flower.experiment"}
    assert not any(name.startswith("mirror/") for name in found[CLUSTER_URL])


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_cluster_and_endpoints(golden, protocol):
    snapshot = encoded(Encoder(), TABLE, 1)
    name = f"{protocol}/mlserver-0+mlserver-1"
    golden.check(f"cluster-{protocol}", opened(snapshot.resources[CLUSTER_URL][name]))
    golden.check(f"endpoints-{protocol}", opened(snapshot.resources[ENDPOINTS_URL][name]))


def test_a_pipeline_is_called_over_http1_alone_also_where_models_have_its_replicas(golden):
    both = {"flow.pipeline": Route((replace(SHADOW.backends[0], name="flow.pipeline_1"),)), "shadow": SHADOW}
    found = encoded(Encoder(), RoutingTable("seldon-system", both), 1).resources
    golden.check("scope-pipeline", opened(found[SCOPE_URL]["flow.pipeline"]))
    (bridged,) = [name for name in found[CLUSTER_URL] if name.startswith("grpc1/")]
    golden.check("cluster-grpc1", opened(found[CLUSTER_URL][bridged]))
    assert bridged.replace("grpc1/", "grpc/") in found[CLUSTER_URL]


def test_listener(golden):
    addresses = (Address("127.70.0.3", 9000), Address("127.0.0.1", 31000))
    found = plain(listener("seldon-system", addresses))
    golden.check("listener", found)
    handed_back = plain(handed_back_listener("seldon-system", addresses))
    where = {"name", "address", "additional_addresses"}
    assert {key: each for key, each in handed_back.items() if key not in where} == {
        key: each for key, each in found.items() if key not in where
    }
    golden.check("listener-handed-back", {key: handed_back[key] for key in sorted(where)})


SETTINGS = EnvoySettings(
    pod="seldon-envoy-0",
    namespace="seldon-system",
    listen=(Address("127.70.0.3", 9000), Address("127.0.0.1", 31000)),
    probe=Address("127.70.0.3", 9003),
    scheduler_host="seldon-scheduler",
    scheduler_port=9002,
    scheduler_endpoints=None,
    token="secret",
)


def test_bootstrap_on_a_cluster(golden):
    golden.check("bootstrap-cluster", plain(descriptors.parse(envoy_bootstrap(SETTINGS), BOOTSTRAP)))


def test_bootstrap_on_a_laptop(golden, tmp_path):
    settings = replace(SETTINGS, scheduler_endpoints=tmp_path / "seldon-scheduler.json")
    config = envoy_bootstrap(settings)
    for cluster in config["static_resources"]["clusters"][:2]:
        source = cluster["eds_cluster_config"]["eds_config"]["path_config_source"]
        assert source["path"].startswith(str(tmp_path))
        source["path"] = "/endpoints/scheduler.json"
    golden.check("bootstrap-laptop", config)


def test_models_on_the_same_replicas_share_a_pair_of_clusters():
    entries = {f"m-{i}": Route((Backend(f"m-{i}_1", 1, (R0, R1)),)) for i in range(50)}
    snapshot = encoded(Encoder(), RoutingTable("ns", entries), 1)
    assert sorted(snapshot.resources[CLUSTER_URL]) == [
        "grpc/mlserver-0+mlserver-1",
        "http/mlserver-0+mlserver-1",
    ]


def test_only_what_changed_is_made_again():
    encoder = Encoder()
    before = encoded(encoder, TABLE, 1).resources
    moved = replace(R1, address="127.70.0.9")
    entries = {**TABLE.entries, "iris": Route((Backend("iris_3", 1, (R0, moved)),))}
    entries["split"] = Route((Backend("split_1", 80, (R0, moved)), Backend("split_2", 20, (moved,))))
    after = encoded(encoder, replace(TABLE, entries=entries), 2).resources
    assert {n: r.version for n, r in before[CLUSTER_URL].items()} == {
        n: r.version for n, r in after[CLUSTER_URL].items()
    }
    assert {n: r.version for n, r in before[SCOPE_URL].items()} == {
        n: r.version for n, r in after[SCOPE_URL].items()
    }
    assert after[SCOPE_URL]["slow"] is before[SCOPE_URL]["slow"]
    changed = {n for n, r in after[ENDPOINTS_URL].items() if r.version != before[ENDPOINTS_URL][n].version}
    assert changed == set(after[ENDPOINTS_URL])


def test_what_is_gone_is_forgotten():
    encoder = Encoder()
    encoded(encoder, TABLE, 1)
    snapshot = encoded(encoder, RoutingTable("seldon-system"), 2)
    assert {url: list(found) for url, found in snapshot.resources.items() if found} == {
        SCOPE_URL: [NAMESPACE_SCOPE],
        BUCKET_URL: list(BUCKETS),
    }
    assert not encoder._pairs
    assert not encoder._scopes


BACKENDS = st.builds(
    lambda number, replicas: Backend(f"m_{number}", 1, tuple(sorted(replicas))),
    st.integers(1, 2),
    st.sets(st.sampled_from([R0, R1]), min_size=1),
)
ENTRIES = st.one_of(
    st.builds(lambda backend: Route((backend,)), BACKENDS),
    st.just(NotReady("Loading", "wait")),
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), ENTRIES), max_size=6))
def test_from_table_to_table_it_makes_what_it_would_make_at_once(tables):
    encoder, kept = Encoder(), {}
    for revision, table in enumerate(tables):
        kept = {name: kept[name] if kept.get(name) == entry else entry for name, entry in table.items()}
        found = encoded(encoder, RoutingTable("ns", kept), revision).resources
        fresh = encoded(Encoder(), RoutingTable("ns", table), revision).resources
        assert _versions(found) == _versions(fresh)


def _versions(resources):
    return {url: {name: each.version for name, each in named.items()} for url, named in resources.items()}


def test_it_pauses_between_slices_and_forgets_what_was_given_up():
    encoder = Encoder()
    table = RoutingTable("ns", {f"m-{n}": NotReady("Loading", "wait") for n in range(3 * SLICE)})
    assert len(list(encoder.work(table, 1))) == 4
    other = RoutingTable("ns", {name: Route((Backend("m_1", 1, (R0,)),)) for name in table.entries})
    given_up = encoder.work(other, 2)
    next(given_up)
    given_up.close()
    assert _versions(encoded(encoder, table, 3).resources) == _versions(
        encoded(Encoder(), table, 1).resources
    )


def test_another_namespace_begins_anew():
    encoder = Encoder()
    encoded(encoder, TABLE, 1)
    other = replace(TABLE, namespace="other")
    assert _versions(encoded(encoder, other, 2).resources) == _versions(
        encoded(Encoder(), other, 2).resources
    )


def test_a_long_list_of_replicas_gets_a_short_name():
    many = tuple(ReplicaEndpoint(f"a-server-{i:03}", "127.0.0.1", 9000, 9500) for i in range(60))
    one, other = (cluster_name(Backend("m_1", 1, r), Protocol.HTTP) for r in (many, many[:-1]))
    assert one.startswith("http/a-server-000+59-")
    assert len(one) < 100
    assert one != other


def mesh_file(mesh):
    """Fails at one mesh, as a mistake of our own would have it."""
    if mesh.host == "bad":
        raise ZeroDivisionError("a mistake of our own")


def test_a_route_that_cannot_be_made_stays_as_it_was_and_all_others_are_published():
    def table(**more):
        return RoutingTable("seldon-system", {**TABLE.entries, **more})

    encoder, bad = Encoder(mesh_file=mesh_file), Elsewhere("bad", 80)
    rose = Route((Backend("rose_1", 1, (R0,)),))
    before = encoded(encoder, TABLE, 1).resources
    found = encoded(encoder, table(iris=bad, new=bad, rose=rose), 2).resources
    assert {*encoder.failures} == {"iris", "new"}
    encoder.failures.clear()
    assert encoded(encoder, table(iris=bad, new=bad, rose=rose), 3).resources == found
    assert not encoder.failures, "the same entry is told once"
    assert found[SCOPE_URL]["iris"] == before[SCOPE_URL]["iris"]
    assert {*found[SCOPE_URL]} == {*before[SCOPE_URL], "rose"}
    assert {*before[CLUSTER_URL]} < {*found[CLUSTER_URL]}
    asleep = encoded(encoder, table(rare=bad), 4)
    assert asleep.resources[SCOPE_URL]["rare"] == before[SCOPE_URL]["rare"]
    assert asleep.awoken("rare_3@7") is None, "its requests are kept as before"
    whole = encoded(encoder, table(iris=rose, new=rose), 5).resources
    assert whole == encoded(Encoder(), table(iris=rose, new=rose), 5).resources, "nothing is left behind"


async def test_the_log_has_a_route_that_cannot_be_made():
    gateway = Gateway(mesh_file=mesh_file)
    gateway.publish(RoutingTable("seldon-system", {**TABLE.entries, "new": Elsewhere("bad", 80)}))
    with structlog.testing.capture_logs() as logs:
        snapshot = await gateway.snapshot()
    assert "iris" in snapshot.resources[SCOPE_URL]
    assert [(each["event"], each["route"]) for each in logs] == [("route not encoded", "new")]
