"""The share of one name in the places at its replicas: its requests never take the places of all other names.

`listener` has the filter, `routes` gives each name its share. All Models on the same replicas have one
cluster, which bounds their requests together; callers of one of them who hold many requests for long, by slow
bodies, open streams or because the Model itself is slow, would take all of the cluster's places. So the
requests of one name are counted before they come to the cluster, which has places for several such names.

Envoy's limiter of concurrent requests adapts its limit to latencies. Here both ends of its range are the
share, so that it only counts: that a Model is slow is no reason to refuse its callers earlier. The limiter
has no settings for a route; the filter around it takes one from the route, once that is certain
(`naming.lua`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from bailie.gateway import descriptors

FILTER = "bailie.share"
REFUSED = "reached_concurrency_limit"
"""Envoy's word for why a request was refused that its name's share had no place for."""
COMPOSITE = "envoy.extensions.filters.http.composite.v3.Composite"
EXECUTE = "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction"
LIMITER = "envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency"
MATCHER = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
MATCHER_PER_ROUTE = "envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute"
_NEVER = "1000000s"
_ALL_SAMPLES = 2**32 - 1


def share_filter() -> dict[str, Any]:
    """Returns the filter's configuration, which does nothing where the route says nothing."""
    composite = {"name": "share", "typed_config": {"@type": descriptors.type_url(COMPOSITE)}}
    return {"@type": descriptors.type_url(MATCHER), "extension_config": composite}


@lru_cache(maxsize=64)
def share(most: int) -> Any:
    """Returns what a route says to the filter: at most so many of its requests are in progress."""
    limiter = {
        "@type": descriptors.type_url(LIMITER),
        "gradient_controller_config": {
            "concurrency_limit_params": {
                "max_concurrency_limit": most,
                "concurrency_update_interval": _NEVER,
            },
            "min_rtt_calc_params": {
                "min_concurrency": most,
                "interval": _NEVER,
                "request_count": _ALL_SAMPLES,
            },
        },
    }
    execute = {
        "@type": descriptors.type_url(EXECUTE),
        "typed_config": {"name": "limiter", "typed_config": limiter},
    }
    always = {"on_no_match": {"action": {"name": "share", "typed_config": execute}}}
    return descriptors.pack(descriptors.parse({"xds_matcher": always}, MATCHER_PER_ROUTE))
