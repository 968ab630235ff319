"""A client of the Open Inference Protocol, version 2: REST and gRPC, with one JSON form of requests.

Used by `bailie infer`, the demo and tests. Knows nothing of Kubernetes.
"""
