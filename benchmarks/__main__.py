"""`python -m benchmarks [NAME] …`; without a name, all of them; `--help` lists the names."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from benchmarks import (
    api_fuzz,
    bad_loads,
    chaos,
    data_plane,
    delivery,
    delivery_growth,
    door_fuzz,
    drain,
    edge_fuzz,
    experiments,
    failover,
    fallback,
    gateway_fuzz,
    hand_over,
    held_calls,
    hung,
    isolation,
    kafka_journal,
    kafka_kills,
    long_messages,
    main_job,
    migration,
    mlserver_settings,
    move,
    neighbours,
    operator_growth,
    overcommit,
    patterns,
    pipeline_bounds,
    pipeline_changes,
    pipeline_growth,
    pipeline_numbers,
    pipeline_table,
    pipelines,
    protocol_fuzz,
    request_logs,
    request_metrics,
    rollout,
    routes,
    scaling,
    scheduler,
    serve,
    startup,
    traces,
)

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130
BENCHMARKS = {
    "main-job": main_job.main,
    "failover": failover.main,
    "fallback": fallback.main,
    "held-calls": held_calls.main,
    "hand-over": hand_over.main,
    "migration": migration.main,
    "move": move.main,
    "isolation": isolation.main,
    "patterns": patterns.main,
    "operator": operator_growth.main,
    "rollout": rollout.main,
    "scaling": scaling.main,
    "overcommit": overcommit.main,
    "neighbours": neighbours.main,
    "hung": hung.main,
    "bad-loads": bad_loads.main,
    "data-plane": data_plane.main,
    "request-metrics": request_metrics.main,
    "request-logs": request_logs.main,
    "delivery": delivery.main,
    "delivery-growth": delivery_growth.main,
    "traces": traces.main,
    "drain": drain.main,
    "edge-fuzz": edge_fuzz.main,
    "experiments": experiments.main,
    "chaos": chaos.main,
    "pipelines": pipelines.main,
    "kafka-journal": kafka_journal.main,
    "gateway-fuzz": gateway_fuzz.main,
    "kafka-kills": kafka_kills.main,
    "long-messages": long_messages.main,
    "pipeline-bounds": pipeline_bounds.main,
    "pipeline-changes": pipeline_changes.main,
    "pipeline-growth": pipeline_growth.main,
    "pipeline-numbers": pipeline_numbers.main,
    "protocol-fuzz": protocol_fuzz.main,
    "routes": routes.main,
    "scheduler": scheduler.main,
    "serve": serve.main,
    "startup": startup.main,
    "api-fuzz": api_fuzz.main,
    "door-fuzz": door_fuzz.main,
    "mlserver-settings": mlserver_settings.main,
}
SUMMARIES = {"pipeline-table": pipeline_table.main}
"""Those that run others again, which therefore run by their name alone."""


def main(arguments: list[str]) -> int:
    """Runs what the arguments name; returns the exit code. Told to end, it ends what it has started first."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored by what a shell starts in the background
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _interrupt(number: int, _: FrameType | None) -> None:
    """Takes SIGTERM (of a CI, of `timeout`) for ^C, once: the next one must not end the tidying up."""
    signal.signal(number, lambda *_: None)
    signal.raise_signal(signal.SIGINT)


def _run(arguments: list[str]) -> int:
    known = BENCHMARKS | SUMMARIES
    if arguments and arguments[0] in {"-h", "--help"}:
        print(f"{__doc__}\n\nNAME is one of {', '.join(known)}; `NAME --help` tells its options.")
        return 0
    if arguments:
        name, *rest = arguments
        if name not in known:
            print(f"no benchmark {name!r}: choose from {', '.join(known)}", file=sys.stderr)
            return 2
        known[name](rest)
        return 0
    for name, run in BENCHMARKS.items():
        print(f"== {name}")
        run([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
