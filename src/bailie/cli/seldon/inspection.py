"""`seldon pipeline inspect`, with upstream's options; its work is `cli.pipeline_inspection`'s."""

from __future__ import annotations

from typing import Annotated

import typer

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir
from bailie.cli.output import say
from bailie.cli.pipeline_inspection import (
    Expression,
    FormOption,
    Offset,
    RecordForm,
    RecordOptions,
    RequestId,
    ShowHeaders,
    Truncate,
    as_message,
    show_records,
)
from bailie.cli.seldon.options import Authority, SchedulerHost, say_without_effect


def inspect(
    expression: Expression,
    *,
    offset: Offset = 1,
    request_id: RequestId = "",
    output_format: FormOption = RecordForm.RAW,
    truncate: Truncate = False,
    verbose: ShowHeaders = False,
    timeout_secs: Annotated[
        float | None, typer.Option("-d", "--timeout-secs", help="Accepted without effect.")
    ] = None,
    kafka_broker: Annotated[
        str | None, typer.Option("--kafka-broker", help="Accepted without effect: gateways are asked.")
    ] = None,
    kafka_config_path: Annotated[
        str | None, typer.Option("--kafka-config-path", help="Accepted without effect: gateways are asked.")
    ] = None,
    scheduler_host: SchedulerHost = None,
    authority: Authority = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Print the data of a Pipeline's last requests, which gateways keep with `keepData: true` in its spec."""
    say_without_effect(scheduler_host=scheduler_host, authority=authority)
    for option, value in (
        ("--kafka-broker", kafka_broker),
        ("--kafka-config-path", kafka_config_path),
        ("--timeout-secs", timeout_secs),
    ):
        if value:
            say(f"note: {option} has no effect: the pipeline gateways are asked, and there is no broker")
    options = RecordOptions(
        offset=offset, request_id=request_id, truncate=truncate, verbose=verbose, form=output_format
    )
    show_records(expression, options, namespace, (kubeconfig, state_dir), value_of=as_message)
