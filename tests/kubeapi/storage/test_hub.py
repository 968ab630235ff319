"""Who hears of a change: who watches its resource, in its namespace or in all."""

from __future__ import annotations

import pytest

from kubeapi.storage.hub import Hub
from kubeapi.storage.store import Key, Store


@pytest.fixture
def hub(tmp_path):
    store = Store(tmp_path / "objects.db")
    yield Hub(store)
    store.close()


def put(hub, resource, namespace, name):
    hub.store.put(Key(resource, namespace, name), {"metadata": {"name": name, "uid": name}}, None)


async def heard(subscription):
    return [change.name for change in await subscription.next(0)]


async def test_a_change_is_heard_in_its_namespace_and_in_all(hub):
    here, there, everywhere, other = (
        hub.subscribe(*what) for what in (("/pods", "a"), ("/pods", "b"), ("/pods", None), ("/services", "a"))
    )
    put(hub, "/pods", "a", "x")
    assert [await heard(each) for each in (here, there, everywhere, other)] == [["x"], [], ["x"], []]


async def test_what_has_no_namespace_is_heard_once(hub):
    all_of_them = hub.subscribe("/namespaces", None)
    put(hub, "/namespaces", "", "x")
    assert await heard(all_of_them) == ["x"]


async def test_a_subscription_that_was_dropped_hears_nothing_and_leaves_others_alone(hub):
    gone, left = hub.subscribe("/pods", "a"), hub.subscribe("/pods", "a")
    hub.drop(gone)
    put(hub, "/pods", "a", "x")
    assert (await heard(gone), await heard(left), hub.open_watches) == ([], ["x"], 1)
