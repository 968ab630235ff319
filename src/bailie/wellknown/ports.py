"""The ports of Bailie's pods and Services.

The numbers are Seldon Core's where it has such a port, so that its manifests fit.
"""

HEALTH = 9006
"""HTTP of the operator, the schedulers and the agents: `/live`, `/ready`, `/metrics` and each one's own."""

PIPELINE_TRACES = 9007
"""HTTP of a pipeline gateway on its pod's own loopback address: traces of requests, and data that is kept."""

SCHEDULER_XDS = 9002
"""gRPC of a scheduler for the Envoys (ADS, uses of models)."""
SCHEDULER_AGENTS = 9005
"""gRPC of a scheduler for the sessions of the agents."""

ENVOY_DATA = 9000
"""REST and gRPC of an Envoy for callers."""
ENVOY_PROBES = 9003
"""HTTP of an Envoy: `/live`, `/ready` and the metrics."""
MESH = 80
"""The Service of the Envoys, in front of ENVOY_DATA."""

SERVER_HTTP = 9000
"""REST of an inference server."""
SERVER_GRPC = 9500
"""gRPC of an inference server."""
SERVER_METRICS = 8082
"""Prometheus metrics of an inference server."""
PROMETHEUS = 19090
"""The Prometheus of a laptop. Its usual port, 9090, is taken where the machine's own listens on all
addresses."""
HELD_HTTP = 9001
"""REST of an agent, for requests that wait until their model is in memory."""
HELD_GRPC = 9501
"""gRPC of an agent, for requests that wait until their model is in memory."""
