"""The process that runs a namespace's pipelines: requests in over HTTP/1.1, each step called through Envoy.

::

    Envoy ──► connection ──► service ──► pipeline_run ──► step_client ──► Envoy ──► model
              bytes          plan of     a Flow with      pooled
              to requests    the route   clock and I/O    connections

The usual course of a plan stands in for the flow of most requests (`bailie.dataflow.course`).

Requests to Models never pass here. `bailie.dataflow` decides each step of a request; this package reads and
writes messages, keeps times, and bounds memory. A tensor's data is not decoded, unless typed and raw tensors
meet in one message of gRPC. Envoy carries gRPC in HTTP/1.1, with its trailers.
"""
