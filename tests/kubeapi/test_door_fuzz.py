"""A short form of `python -m benchmarks door-fuzz`."""

from __future__ import annotations

import contextlib
from itertools import islice

import pytest
from benchmarks.door_fuzz import doors, fuzz, good_exec
from tests.support.door_attacks import EXEC, Attacks, frame, head

from kubeapi.pods.commands import PROTOCOLS


def test_clients_that_are_none_harm_nobody():
    result = fuzz(4, seed=7)
    # How long `/healthz` takes beside other work of the machine is for the long form to say.
    failures = [failure for failure in result.failures if not failure.startswith("/healthz took")]
    assert failures == []
    assert result.attacks.keys() == {"handshake", "frames", "spdy", "streams", "channels"}
    assert result.good.keys() == {"good_forward", "good_exec"}


def test_a_seed_is_always_the_same():
    made = {seed: list(islice(Attacks(seed, token="t", port=1), 200)) for seed in (3, 4)}
    assert made[3] == list(islice(Attacks(3, token="t", port=1), 200))
    assert made[3] != made[4]


@pytest.fixture
def target(tmp_path):
    with doors(tmp_path) as made:
        yield made


def test_a_message_that_is_too_long_while_output_comes_is_no_trouble(target):
    """The client is hung up on, and the command has still something to say."""
    endless = head(EXEC.replace("cat", "yes"), PROTOCOLS[0], target.api.token)
    for _ in range(5):
        with target.connect() as connection:
            connection.sendall(endless)
            connection.recv(1 << 16)
            connection.recv(1 << 16)
            connection.sendall(frame(bytes((1 << 20) + 1)))
            with contextlib.suppress(OSError):
                while connection.recv(1 << 16):
                    pass
    good_exec(target)
    assert "Traceback" not in target.api.log.read_text()
