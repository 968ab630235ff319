"""Limits that more than one process or chart must know."""

REQUESTS_PER_REPLICA = 1_000
"""Requests to one model that an Envoy may have in progress for each server replica, unless told otherwise."""
MOST_REQUESTS_PER_REPLICA = 1_000_000
