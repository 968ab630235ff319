"""Limits that more than one process or chart must know."""

REQUESTS_PER_REPLICA = 1_000
"""Requests that an Envoy may have in progress on one server replica and protocol, unless told otherwise."""
MOST_REQUESTS_PER_REPLICA = 1_000_000
