"""Which leader an agent follows: never one that may be deposed, at last the only one there is."""

from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.epochs import GAP_SECONDS, STEADY_SECONDS, Epochs
from bailie.kube.election import LeaseTiming

EPOCHS = st.integers(0, 2**64 - 1)


@given(st.lists(EPOCHS, max_size=20))
def test_at_one_moment_only_later_leaders_are_followed(offers):
    epochs = Epochs()
    followed = [offer for offer in offers if epochs.welcome(offer, 5.0)]
    assert followed == sorted(followed)


@given(EPOCHS, EPOCHS, st.lists(st.floats(0.01, 60), max_size=40))
def test_an_older_leader_is_followed_only_after_it_was_steady_for_longer_than_a_lease_lasts(a, b, pauses):
    seen, older = max(a, b) + 1, min(a, b)
    epochs, now, since = Epochs(seen), 0.0, 0.0
    for pause in (0.0, *pauses):
        now += pause
        if pause > GAP_SECONDS:
            since = now
        followed = epochs.welcome(older, now)
        assert followed == (now - since >= STEADY_SECONDS)
        if followed:
            assert epochs.seen == older
            return
    assert epochs.seen == seen


def test_two_older_leaders_in_turn_are_not_one_that_is_steady():
    epochs = Epochs(9)
    assert not any(epochs.welcome(1 + second % 2, second) for second in range(60))


def test_a_deposed_leader_has_gone_before_it_would_be_followed():
    assert LeaseTiming().duration + LeaseTiming().renew < STEADY_SECONDS


@given(st.lists(EPOCHS, max_size=20))
def test_orders_are_obeyed_in_the_order_of_epochs(orders):
    epochs = Epochs()
    obeyed = [order for order in orders if epochs.obeys(order)]
    assert obeyed == sorted(obeyed)
