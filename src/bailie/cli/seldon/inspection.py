"""`seldon pipeline inspect`, with upstream's options; its work is `cli.pipeline_inspection`'s."""

from __future__ import annotations

from bailie.cli.cluster import Kubeconfig, Namespace, StateDir
from bailie.cli.pipeline_inspection import (
    BrokerSeconds,
    Expression,
    FormOption,
    KafkaBroker,
    KafkaConfigPath,
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
from bailie.cli.topic_records import BrokerOptions


def inspect(
    expression: Expression,
    *,
    offset: Offset = 1,
    request_id: RequestId = "",
    output_format: FormOption = RecordForm.RAW,
    truncate: Truncate = False,
    verbose: ShowHeaders = False,
    timeout_secs: BrokerSeconds = 5.0,
    kafka_broker: KafkaBroker = "",
    kafka_config_path: KafkaConfigPath = None,
    scheduler_host: SchedulerHost = None,
    authority: Authority = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Print the data of a Pipeline's last requests, from Kafka or from gateways that keep it (`keepData`)."""
    say_without_effect(scheduler_host=scheduler_host, authority=authority)
    options = RecordOptions(
        offset=offset, request_id=request_id, truncate=truncate, verbose=verbose, form=output_format
    )
    broker = BrokerOptions(address=kafka_broker, config=kafka_config_path, seconds=timeout_secs)
    show_records(expression, options, namespace, (kubeconfig, state_dir), broker=broker, value_of=as_message)
