"""The protocol state of one stream, without a stream: requests in, responses out."""

from dataclasses import replace

import pytest
from tests.support.dataplane import encoded

from bailie.gateway import descriptors
from bailie.gateway.asleep import NOBODY
from bailie.gateway.listener import Address, handed_back_listener, listener
from bailie.gateway.resources import (
    CLUSTER_URL,
    ENDPOINTS_URL,
    LISTENER_URL,
    ROUTES_URL,
    SCOPE_URL,
    Encoder,
)
from bailie.gateway.session import ANSWER_SECONDS, LINGER_SECONDS, MOST_AWOKEN, XdsSession
from bailie.gateway.xds_requests import MOST_NAMES, MOST_TOLD, problem
from bailie.gateway.xds_resource import resource
from bailie.routing.table import Asleep, Backend, NotReady, ReplicaEndpoint, Route, RoutingTable

R0 = ReplicaEndpoint("s-0", "127.0.0.2", 9000, 9500)
PAIR = {"http/s-0", "grpc/s-0"}
NOW = 100.0


def snapshot(*names, revision=1, encoder=None):
    entries = {name: Route((Backend(f"{name}_1", 1, (R0,)),)) for name in names}
    return encoded(encoder or Encoder(), RoutingTable("ns", entries), revision)


@pytest.fixture
def session():
    places = (Address("127.0.0.1", 9000),)
    own, handed_back = listener("ns", places), handed_back_listener("ns", places)
    return XdsSession(resource(own.name, own), resource(handed_back.name, handed_back))


def request(url, *, names=(), gone=(), nonce="", error="", versions=None):
    made = descriptors.message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")(
        type_url=url,
        resource_names_subscribe=names,
        resource_names_unsubscribe=gone,
        initial_resource_versions=versions or {},
        response_nonce=nonce,
    )
    if error:
        made.error_detail.message = error
    return made


def sent(response):
    return {item.name for item in response.resources}


def acknowledge(session, response, error=""):
    return session.receive(request(response.type_url, nonce=response.nonce, error=error))


def start(session, snap):
    """Brings a session to where its Envoy has all of `snap`, in the way that Envoy does it."""
    session.receive(request(CLUSTER_URL))
    session.receive(request(LISTENER_URL))
    clusters = session.next_response(snap, NOW)
    assert (clusters.type_url, sent(clusters)) == (CLUSTER_URL, set(snap.resources[CLUSTER_URL]))
    if sent(clusters):
        session.receive(request(ENDPOINTS_URL, names=sorted(sent(clusters))))
        acknowledge(session, session.next_response(snap, NOW))
    acknowledge(session, clusters)
    acknowledge(session, session.next_response(snap, NOW))
    session.receive(request(SCOPE_URL))
    acknowledge(session, session.next_response(snap, NOW))
    assert session.settle(snap)


def test_routes_wait_for_warm_clusters(session):
    snap = snapshot("a")
    for url in (CLUSTER_URL, LISTENER_URL, SCOPE_URL):
        session.receive(request(url))
    clusters = session.next_response(snap, NOW)
    assert session.next_response(snap, NOW) is None
    session.receive(request(ENDPOINTS_URL, names=sorted(PAIR)))
    endpoints = session.next_response(snap, NOW)
    assert (endpoints.type_url, sent(endpoints)) == (ENDPOINTS_URL, PAIR)
    acknowledge(session, endpoints)
    assert session.next_response(snap, NOW) is None
    assert not session.settle(snap)
    acknowledge(session, clusters)
    listeners, scopes = session.next_response(snap, NOW), session.next_response(snap, NOW)
    assert (listeners.type_url, scopes.type_url, sent(scopes)) == (LISTENER_URL, SCOPE_URL, {"@", "a"})
    acknowledge(session, listeners)
    assert not session.settle(snap)
    acknowledge(session, scopes)
    assert session.settle(snap)
    assert (session.acknowledged, session.serving) == (1, True)


def test_while_names_come_over_an_envoy_listens_for_those_of_before_too(session):
    start(session, snapshot())
    taking = encoded(Encoder(), RoutingTable("ns", takes_over=True), 2)
    response = session.next_response(taking, NOW)
    assert (response.type_url, sent(response)) == (LISTENER_URL, {"handed-back"})
    acknowledge(session, response)
    assert session.settle(taking)
    response = session.next_response(encoded(Encoder(), RoutingTable("ns"), 3), NOW)
    assert (response.type_url, list(response.removed_resources)) == (LISTENER_URL, ["handed-back"])


def test_an_empty_table_is_said_so_once(session):
    snap = snapshot()
    start(session, snap)
    assert session.next_response(snap, NOW) is None


def test_a_new_model_on_known_replicas_is_one_route(session):
    encoder = Encoder()
    start(session, snapshot("a", encoder=encoder))
    response = session.next_response(snapshot("a", "b", revision=2, encoder=encoder), NOW)
    assert (response.type_url, sent(response)) == (SCOPE_URL, {"b"})


def without_routes(session):
    """Brings a session to where the only route is gone; returns the snapshot."""
    start(session, snapshot("a"))
    empty = snapshot(revision=2)
    routes = session.next_response(empty, NOW)
    assert (routes.type_url, list(routes.removed_resources)) == (SCOPE_URL, ["a"])
    assert session.next_response(empty, NOW) is None
    assert session.deadline(NOW) == NOW + ANSWER_SECONDS
    acknowledge(session, routes)
    assert session.next_response(empty, NOW) is None
    return empty


def test_clusters_go_a_while_after_their_routes(session):
    empty = without_routes(session)
    assert session.settle(empty)
    assert session.deadline(NOW) == NOW + LINGER_SECONDS
    assert session.next_response(empty, NOW + LINGER_SECONDS - 0.1) is None
    clusters = session.next_response(empty, NOW + LINGER_SECONDS)
    assert (clusters.type_url, set(clusters.removed_resources)) == (CLUSTER_URL, PAIR)
    session.receive(request(ENDPOINTS_URL, gone=sorted(PAIR)))
    acknowledge(session, clusters)
    assert session.next_response(empty, NOW + LINGER_SECONDS) is None
    assert session.settle(empty)
    assert session.deadline(NOW + LINGER_SECONDS) is None


def test_while_an_envoy_owes_an_answer_nothing_else_is_due(session):
    without_routes(session)
    other = snapshot("b", revision=3)
    assert session.next_response(other, NOW + 1) is not None
    assert session.next_response(other, NOW + LINGER_SECONDS) is None
    assert session.deadline(NOW + LINGER_SECONDS) == NOW + 1 + ANSWER_SECONDS, "then the answer is overdue"


def test_a_cluster_that_is_needed_again_stays(session):
    without_routes(session)
    again = snapshot("a", revision=3)
    routes = session.next_response(again, NOW + LINGER_SECONDS)
    assert (routes.type_url, sent(routes)) == (SCOPE_URL, {"a"})
    acknowledge(session, routes)
    assert session.next_response(again, NOW + LINGER_SECONDS) is None
    assert (session.settle(again), session.deadline(NOW)) == (True, None)


def test_who_asks_for_endpoints_that_are_not_there_is_told(session):
    start(session, snapshot("a"))
    session.receive(request(ENDPOINTS_URL, names=["http/gone-0"]))
    response = session.next_response(snapshot("a"), NOW)
    assert (response.type_url, list(response.removed_resources)) == (ENDPOINTS_URL, ["http/gone-0"])
    acknowledge(session, response)
    assert session.next_response(snapshot("a", revision=2), NOW) is None


def test_an_envoy_that_comes_back_is_sent_only_what_differs(session):
    snap = snapshot("a", "b")
    versions = {url: {n: r.version for n, r in found.items()} for url, found in snap.resources.items()}
    versions[SCOPE_URL] = {**versions[SCOPE_URL], "b": "older", "gone": "older"}
    session.receive(request(CLUSTER_URL, versions=versions[CLUSTER_URL]))
    session.receive(request(ENDPOINTS_URL, names=sorted(PAIR), versions=versions[ENDPOINTS_URL]))
    own = {session.listener.name: session.listener.version}
    session.receive(request(LISTENER_URL, versions=own))
    session.receive(request(SCOPE_URL, versions=versions[SCOPE_URL]))
    assert session.serving
    found = {}
    while (response := session.next_response(snap, NOW)) is not None or session.in_flight:
        assert response is not None
        found[response.type_url] = (sent(response), list(response.removed_resources))
        acknowledge(session, response)
    assert found == {
        CLUSTER_URL: (set(), []),
        LISTENER_URL: (set(), []),
        SCOPE_URL: ({"b"}, ["gone"]),
    }
    assert session.settle(snap)


def test_a_changed_cluster_gets_its_endpoints_again(session):
    snap = snapshot("a")
    start(session, snap)
    name = "http/s-0"
    changed = replace(snap.resources[CLUSTER_URL][name], version="another")
    clusters = {**snap.resources[CLUSTER_URL], name: changed}
    after = replace(snap, revision=2, resources={**snap.resources, CLUSTER_URL: clusters})
    first, second = session.next_response(after, NOW), session.next_response(after, NOW)
    assert (first.type_url, sent(first)) == (CLUSTER_URL, {name})
    assert (second.type_url, sent(second)) == (ENDPOINTS_URL, {name})


def test_the_one_bad_route_is_found_and_the_others_arrive(session):
    start(session, snapshot())
    names = [f"m-{i}" for i in range(8)]
    snap = snapshot_without_clusters(names)
    accepted, heard = set(), []
    while (response := session.next_response(snap, NOW)) is not None:
        error = "no" if "m-5" in sent(response) else ""
        heard.append(acknowledge(session, response, error))
        if not error:
            accepted |= sent(response)
    assert accepted == set(names) - {"m-5"}
    assert session.rejections() == {"m-5": "no"}
    assert "no" in heard
    assert not session.settle(snap)
    assert session.acknowledged == 1
    without = snapshot_without_clusters(names[:5], revision=3)
    acknowledge(session, session.next_response(without, NOW))
    assert session.settle(without)
    assert session.rejections() == {}


def snapshot_without_clusters(names, revision=2):
    return encoded(Encoder(), RoutingTable("ns", {n: NotReady("Loading", "wait") for n in names}), revision)


def test_an_answer_to_an_older_response_changes_nothing(session):
    snap = snapshot()
    session.receive(request(CLUSTER_URL))
    session.next_response(snap, NOW)
    assert session.receive(request(CLUSTER_URL, nonce="77", error="late")) == ""
    assert CLUSTER_URL in session.in_flight


def test_a_rejection_without_words_still_is_one(session):
    session.receive(request(CLUSTER_URL))
    response = session.next_response(snapshot(), NOW)
    reply = request(CLUSTER_URL, nonce=response.nonce)
    reply.error_detail.SetInParent()
    assert session.receive(reply) == "rejected without a message"


SLEEP, ASLEEP = Asleep("a_1", 7), "a_1@7"


def wakes(session, entry):
    """An Envoy that keeps a request for the version `a_1`, and the table in which the name has this entry."""
    encoder = Encoder()
    start(session, encoded(encoder, RoutingTable("ns", {"a": SLEEP}), 1))
    session.receive(request(ROUTES_URL, names=[ASLEEP]))
    return encoded(encoder, RoutingTable("ns", {"a": entry}), 2)


def test_a_request_that_an_envoy_keeps_is_known_until_its_version_answers(session):
    snap = wakes(session, SLEEP)
    assert session.kept == {SLEEP}
    assert session.settle(snap)
    assert session.next_response(snap, NOW) is None, "to tell that there are no routes would end the wait"
    woken = snapshot("a", revision=3)
    clusters = session.next_response(woken, NOW)
    assert sent(clusters) == PAIR
    session.receive(request(ENDPOINTS_URL, names=sorted(PAIR)))
    acknowledge(session, session.next_response(woken, NOW))
    acknowledge(session, clusters)
    kept = session.next_response(woken, NOW)
    assert (kept.type_url, sent(kept), session.kept) == (ROUTES_URL, {ASLEEP}, frozenset())
    assert session.next_response(woken, NOW) is None, "a request that loses its key before would wait on"
    acknowledge(session, kept)
    routes = session.next_response(woken, NOW)
    assert (sent(routes), list(routes.removed_resources)) == ({"a"}, [])
    acknowledge(session, routes)
    assert session.settle(woken)
    assert session.next_response(woken, NOW + 1) is None
    gone = session.next_response(woken, NOW + 1 + LINGER_SECONDS)
    assert (gone.type_url, list(gone.removed_resources)) == (SCOPE_URL, [ASLEEP])
    acknowledge(session, gone)
    session.receive(request(ROUTES_URL, gone=[ASLEEP]))
    assert session.settle(woken)
    assert session.subscriptions[ROUTES_URL].names == set()


def test_a_request_on_its_way_when_the_routes_change_is_answered(session):
    encoder = Encoder()
    start(session, encoded(encoder, RoutingTable("ns", {"a": SLEEP}), 1))
    woken = snapshot("a", revision=2, encoder=encoder)
    while not session.settle(woken):
        response = session.next_response(woken, NOW)
        if response.type_url == CLUSTER_URL:
            session.receive(request(ENDPOINTS_URL, names=sorted(PAIR)))
        acknowledge(session, response)
    session.receive(request(ROUTES_URL, names=[ASLEEP]))
    assert sent(session.next_response(woken, NOW + 1)) == {ASLEEP}


def test_requests_that_are_kept_for_another_leaders_sleep_keep_their_key(session):
    encoder = Encoder()
    start(session, encoded(encoder, RoutingTable("ns", {"a": SLEEP}), 1))
    session.receive(request(ROUTES_URL, names=[ASLEEP]))
    other = encoded(encoder, RoutingTable("ns", {"a": Asleep("a_1", 9)}), 2)
    for later in (0, LINGER_SECONDS, 2 * LINGER_SECONDS):
        while response := session.next_response(other, NOW + later):
            assert (response.type_url, list(response.removed_resources)) == (SCOPE_URL, [])
            acknowledge(session, response)
    assert session.kept == {SLEEP}
    woken = encoded(encoder, RoutingTable("ns", {"a": NotReady("Loading", "it is not")}), 3)
    told = []
    for later in (60, 60 + LINGER_SECONDS):
        while response := session.next_response(woken, NOW + later):
            told.append((response.type_url, sorted(response.removed_resources) or sorted(sent(response))))
            acknowledge(session, response)
    assert told == [
        (ROUTES_URL, [ASLEEP]),
        (SCOPE_URL, ["a"]),
        (SCOPE_URL, [ASLEEP]),
        (SCOPE_URL, ["a_1@9"]),
    ]


def test_an_envoy_that_comes_back_keeps_requests_for_the_routes_that_it_lacks(session):
    session.receive(request(ROUTES_URL, names=["a_1@7", "b_1@8"], versions={"b_1@8": "1"}))
    assert session.kept == {SLEEP}
    session.receive(request(ROUTES_URL, gone=["b_1@8"]))
    session.receive(request(ROUTES_URL, names=["b_1@9", "else"], gone=["a_1@7"]))
    assert session.kept == {Asleep("b_1", 9)}


def test_a_model_that_sleeps_again_and_again_leaves_nothing_behind(session):
    encoder, revision, now = Encoder(), 1, NOW
    start(session, encoded(encoder, RoutingTable("ns", {"a": Asleep("a_1", 0)}), 1))
    for period in range(100):
        session.receive(request(ROUTES_URL, names=[f"a_1@{period}"]))
        for entry in (NotReady("Loading", "it is not"), Asleep("a_1", period + 1)):
            revision += 1
            snap = encoded(encoder, RoutingTable("ns", {"a": entry}), revision)
            for later in (0, LINGER_SECONDS):
                now += later
                while response := session.next_response(snap, now):
                    acknowledge(session, response)
                    if response.type_url == SCOPE_URL and response.removed_resources:
                        session.receive(request(ROUTES_URL, gone=response.removed_resources))
            assert session.settle(snap)
    assert {url: len(each.sent) for url, each in session.subscriptions.items()}[SCOPE_URL] == 3
    assert (session.subscriptions[ROUTES_URL].names, session.kept) == (set(), frozenset())


def test_routes_that_were_asked_for_go_out_in_parts(session):
    snap = snapshot("a")
    start(session, snap)
    names = {f"a{number}_1@7" for number in range(2 * MOST_AWOKEN + 1)}
    session.receive(request(ROUTES_URL, names=sorted(names)))
    got, parts = set(), []
    while not session.settle(snap):
        response = session.next_response(snap, NOW)
        parts.append(len(sent(response)))
        got |= sent(response)
        acknowledge(session, response)
    assert (got, parts) == (names, [MOST_AWOKEN, MOST_AWOKEN, 1])


def test_of_routes_that_were_asked_for_the_one_bad_is_found_and_the_others_arrive(session):
    snap = snapshot("a")
    start(session, snap)
    names = {f"a{number}_1@7" for number in range(8)}
    session.receive(request(ROUTES_URL, names=sorted(names)))
    accepted = set()
    while (response := session.next_response(snap, NOW)) is not None:
        session.receive(request(ROUTES_URL, gone=["a0_1@7"]))
        bad = "a5_1@7" in sent(response)
        acknowledge(session, response, "no" if bad else "")
        accepted |= set() if bad else sent(response)
    assert accepted == names - {"a0_1@7", "a5_1@7"}
    assert session.kept == frozenset(), "its key goes, so that its requests end"


def test_clusters_of_sleeps_by_the_name_that_an_earlier_version_gave_them_are_gone(session):
    snap = snapshot("a")
    start(session, snap)
    session.receive(request(CLUSTER_URL, names=["asleep/http/7/a_1"]))
    assert session.settle(snap)
    assert session.next_response(snap, NOW) is None
    told = session.next_response(snap, NOW + LINGER_SECONDS)
    assert (told.type_url, list(told.removed_resources)) == (CLUSTER_URL, ["asleep/http/7/a_1"])


def test_names_are_bounded(session):
    names = [f"http/s-{number}" for number in range(MOST_NAMES + 1)]
    assert "resources are asked for" in problem(request(CLUSTER_URL, names=names))
    assert "resources are asked for" in problem(request(CLUSTER_URL, versions=dict.fromkeys(names, "1")))
    session.receive(request(CLUSTER_URL, names=names[2:]))
    assert session.full(request(CLUSTER_URL, names=["one"])) is None
    assert session.full(request(ENDPOINTS_URL, names=["one", "two"]))
    session.receive(request(CLUSTER_URL, gone=names[2:4]))
    assert session.full(request(ENDPOINTS_URL, names=["one", "two"])) is None


def test_what_a_stream_tells_is_bounded_and_forgotten_with_the_names(session):
    long = [f"{number:01000}" for number in range(MOST_TOLD // 1_000)]
    session.receive(request(ROUTES_URL, names=long[1:]))
    session.receive(request(ROUTES_URL, names=long[1:]))
    assert session.full(request(SCOPE_URL, versions={"one": "1"})) is None
    assert session.full(request(SCOPE_URL, versions={long[0]: "1" * 1_000}))
    for number in range(3):
        session.receive(request(ROUTES_URL, names=[long[0]], gone=[long[0]]))
        assert session.full(request(SCOPE_URL, versions={"one": str(number)})) is None
    session.receive(request(ROUTES_URL, gone=long))
    session.receive(request(SCOPE_URL, versions=dict.fromkeys(long[1:], "")))
    assert session.full(request(ROUTES_URL, names=long[:2]))


@pytest.mark.parametrize("entry", [NotReady("Loading", "it is not"), Route((Backend("a_2", 1, (R0,)),))])
def test_requests_that_an_envoy_keeps_fail_where_their_version_will_not_answer(session, entry):
    snap = wakes(session, entry)
    found = snap.awoken(ASLEEP)
    routes = descriptors.message_class(descriptors.ROUTES).FromString(found.message.resource.value)
    assert [each.route.cluster for host in routes.virtual_hosts for each in host.routes] == [NOBODY]


def test_an_answer_that_does_not_come_is_overdue_in_the_end(session):
    session.receive(request(CLUSTER_URL))
    table = snapshot("iris")
    assert session.next_response(table, NOW) is not None
    assert session.next_response(table, NOW + 1) is None
    assert session.deadline(NOW + 1) == NOW + ANSWER_SECONDS
    assert not session.is_overdue(NOW + ANSWER_SECONDS - 1)
    assert session.is_overdue(NOW + ANSWER_SECONDS)


def test_each_response_has_its_own_time_for_an_answer(session):
    session.receive(request(CLUSTER_URL))
    first = session.next_response(snapshot("iris"), NOW)
    session.receive(request(ENDPOINTS_URL, names=PAIR))
    assert session.next_response(snapshot("iris"), NOW + ANSWER_SECONDS / 2).type_url == ENDPOINTS_URL
    acknowledge(session, first)
    assert not session.is_overdue(NOW + ANSWER_SECONDS)
    assert session.is_overdue(NOW + ANSWER_SECONDS * 1.5)


def test_endpoints_that_an_envoy_gives_up_are_missed(session):
    snap = snapshot("a")
    start(session, snap)
    session.receive(request(ENDPOINTS_URL, gone=PAIR))
    assert not session.settle(snap)
