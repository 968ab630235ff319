"""Labels and annotations of objects that Bailie makes or looks for."""

NAME = "app.kubernetes.io/name"
MANAGED_BY = "app.kubernetes.io/managed-by"

SERVER = "seldon-server-name"
"""The Server that a pod belongs to."""
WORKLOAD = "bailie.io/workload"
"""The workload that an object belongs to."""
TEMPLATE_HASH = "bailie.io/template-hash"
"""The pod template that a Pod was made from."""
CONFIG = "bailie.io/config"
"""The configuration that a runtime or a Server was made with."""
KAFKA_CONFIG = "bailie.io/kafka-config"
"""On the pipeline gateways' Server and pods: a digest of the message broker's settings, which are read at the
start, or `none` without a broker."""
FIRST_ORDINAL = "bailie.io/first-ordinal"
"""On a Server: the number of its first replica, 0 without it."""
HELD = "bailie.io/held"
"""On a Server: `true` while a move holds its replicas back, `false` once they may start."""
TERM = "bailie.io/term"
"""On the schedulers' Lease, as JSON: `agents` by server, `published` and `acknowledged` revisions."""
LET_GO = "let-go.bailie.io/"
"""On Seldon Core's operator, before a namespace's name: its list or its replicas before a move took that
namespace."""
BEFORE = "bailie.io/before"
"""On pods of Seldon Core's while their namespace moves: the Server that they are of, or `seldon-envoy`."""
FILES = "bailie.io/files"
"""On a Model that `bailie serve` made: a mark of its files, which changes with them."""
HOLDER_ADDRESS = "bailie.io/holder-address"
"""On a Lease: where its holder listens."""


def selector(label: str, value: str) -> str:
    """Returns `label=value`, as the API and `kubectl -l` take it."""
    return f"{label}={value}"
