"""`bailie pipeline inspect` and `seldon pipeline inspect`: the data of a pipeline's last requests.

Put together by `pipeline` and `seldon.app`. The data comes from Kafka where a broker is named, else from the
memory of the gateways. Expressions, options and output are those of Seldon Core, whose topics give the names.
`seldon` prints values as Seldon Core does, in the JSON form of the protocol's messages; `bailie` prints the
protocol's JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailie.api.names import is_dns_label
from bailie.api.texts import shown
from bailie.cli.cluster import Kubeconfig, Namespace, StateDir, connected, run
from bailie.cli.output import ExitCode, fail, print_json, say
from bailie.cli.topic_records import BrokerOptions, read_topics
from bailie.wellknown import headers
from bailie.wellknown.paths import KAFKA_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    ValueForm = Callable[[Mapping[str, Any]], dict[str, Any]]
    """Returns a body as it is printed."""

_SIDES = ("inputs", "outputs")


class RecordForm(StrEnum):
    """How records are printed."""

    RAW = "raw"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class DataWish:
    """An expression: the data of a pipeline, of one owner, of one side, one tensor. Empty for all."""

    pipeline: str
    owner: str = ""
    side: str = ""
    tensor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """The records of each topic that are printed, and how."""

    offset: int = 1
    request_id: str = ""
    truncate: bool = False
    verbose: bool = False
    form: RecordForm = RecordForm.RAW


Expression = Annotated[
    str, typer.Argument(help="PIPELINE[.STEP][.inputs|outputs[.TENSOR]], or PIPELINE.inputs|outputs.")
]
Offset = Annotated[int, typer.Option("--offset", min=1, help="The last records of each topic: how many.")]
RequestId = Annotated[
    str, typer.Option("--request-id", help="Only those of one request.", show_default="all")
]
Truncate = Annotated[bool, typer.Option("-t", "--truncate", help="Leave the data of tensors out.")]
ShowHeaders = Annotated[bool, typer.Option("-v", "--verbose", help="Print the headers of records, too.")]
KafkaBroker = Annotated[
    str,
    typer.Option(
        "--kafka-broker", envvar="SELDON_KAFKA_BROKER", help="Read the topics of this broker, `host:port`."
    ),
]
KafkaConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--kafka-config-path",
        envvar="SELDON_KAFKA_CONFIG_PATH",
        help=f"A file like Seldon Core's {KAFKA_FILE}: the broker, a prefix of topics, properties.",
    ),
]
BrokerSeconds = Annotated[
    float, typer.Option("-d", "--timeout-secs", min=0.1, help="Seconds that the broker may take.")
]
FormOption = Annotated[RecordForm, typer.Option("--format", "--output-format", help="Form of the result.")]


def inspect(
    expression: Expression,
    *,
    offset: Offset = 1,
    request_id: RequestId = "",
    output_format: FormOption = RecordForm.RAW,
    truncate: Truncate = False,
    verbose: ShowHeaders = False,
    kafka_broker: KafkaBroker = "",
    kafka_config_path: KafkaConfigPath = None,
    timeout_secs: BrokerSeconds = 5.0,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    state_dir: StateDir = None,
) -> None:
    """Print the data of a pipeline's last requests: its own, and that of its steps.

    Topics of Kafka are read where a broker is named. Else gateways are asked through `kubectl port-forward`,
    which keep the data of a Pipeline only with `keepData: true` in its spec, in memory, and of the last
    requests alone.

    Examples:

      bailie pipeline inspect tfsimples

      bailie pipeline inspect tfsimples.tfsimple1.outputs.OUTPUT0 --offset 5

      bailie pipeline inspect tfsimples.inputs --request-id 8d0c7a4e --format json
    """
    options = RecordOptions(
        offset=offset, request_id=request_id, truncate=truncate, verbose=verbose, form=output_format
    )
    broker = BrokerOptions(address=kafka_broker, config=kafka_config_path, seconds=timeout_secs)
    show_records(expression, options, namespace, (kubeconfig, state_dir), broker=broker)


def show_records(
    expression: str,
    options: RecordOptions,
    namespace: str | None,
    cluster: tuple[Path | None, Path | None],
    *,
    broker: BrokerOptions,
    value_of: ValueForm = dict,
) -> None:
    """Prints the records that an expression means. `value_of` gives a body its form."""
    wish = parsed(expression)
    if broker.named:
        place, records = run(_read_topics(wish, options, (namespace, cluster), broker))
    else:
        place, records, keeps = run(_read(wish.pipeline, namespace, cluster))
        if not records:
            _say_nothing_is_kept(wish.pipeline, keeps=keeps)
    topics = by_topic(records, wish, options)
    if options.form is RecordForm.JSON:
        found = [
            {"name": topic_name(place, *key), "msgs": [_message(each, options, value_of) for each in records]}
            for key, records in topics
        ]
        print_json({"topics": found})
        return
    for key, records in topics:
        sys.stdout.write(f"Topic: {shown(topic_name(place, *key), 400)}\n")
        for each in records:
            sys.stdout.write("\t".join(_columns(each, options, value_of)) + "\n")


def parsed(expression: str) -> DataWish:
    """Returns what an expression means; ends the command where it is none."""
    pipeline, *rest = expression.split(".")
    own = bool(rest) and rest[0] in _SIDES
    owner = "" if own or not rest else rest[0]
    rest = rest if own else rest[1:]
    side, tensor = [*rest, "", ""][:2]
    named = is_dns_label(pipeline) and all(expression.split("."))
    if not named or len(rest) > 2 or (rest and side not in _SIDES):
        hint = "write PIPELINE, PIPELINE.outputs, PIPELINE.STEP, or PIPELINE.STEP.outputs.TENSOR"
        fail(f'"{shown(expression)}" names no data of a pipeline', hint=hint, code=ExitCode.USAGE)
    return DataWish(pipeline, pipeline if own else owner, side, tensor)


def by_topic(
    records: Iterable[Mapping[str, Any]], wish: DataWish, options: RecordOptions
) -> list[tuple[tuple[str, str, str], list[dict[str, Any]]]]:
    """Returns the last records of each topic, the pipeline's own topics first, the oldest record first."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda each: each["at"]):
        errors = record["side"] == "errors"
        if wish.owner and (record["owner"] != wish.owner or errors):
            continue
        if (wish.side and record["side"] != wish.side) or not _of_request(record, options.request_id):
            continue
        key = ("", "", "errors") if errors else (wish.pipeline, record["owner"], record["side"])
        found.setdefault(key, []).append(_narrowed(record, wish.tensor, truncate=options.truncate))
    order = sorted(found, key=lambda key: (not key[0], key[1] != wish.pipeline, key))
    return [(key, found[key][-options.offset :]) for key in order]


def topic_name(namespace: str, pipeline: str, owner: str, side: str) -> str:
    """Returns the name that a topic has in Seldon Core."""
    if side == "errors":
        return f"seldon.{namespace}.errors.errors"
    kind = "pipeline" if owner == pipeline else "model"
    return f"seldon.{namespace}.{kind}.{owner}.{side}"


def as_message(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a body in the JSON form of the protocol's messages; as it is where it has none."""
    from google.protobuf import json_format

    from bailie.inference.codec import BadRequest, to_protobuf

    side = "outputs" if "outputs" in body and "inputs" not in body else "inputs"
    try:
        given = {"id": body.get("id") or "", "parameters": body.get("parameters"), "inputs": body[side]}
        message: dict[str, Any] = json_format.MessageToDict(to_protobuf("", given))
    except (BadRequest, KeyError, ValueError):
        return dict(body)
    return {side if key == "inputs" else key: value for key, value in message.items()}


async def _read(
    pipeline: str, namespace: str | None, cluster: tuple[Path | None, Path | None]
) -> tuple[str, list[dict[str, Any]], bool]:
    """Returns the namespace, the records of all gateways, and whether the Pipeline has its data kept."""
    from bailie.api.kinds import PIPELINE
    from bailie.local.gateway_traces import GatewayReader

    async with connected(*cluster) as client:
        place = namespace or client.namespace
        spec = (await client.get(PIPELINE, pipeline, place)).get("spec", {})
        answers = await GatewayReader(client, place, *cluster).read("data", pipeline)
    for sentence in answers.unheard:
        say(f"warning: not asked: {sentence}")
    records = [_with_data(each) for answer in answers.found for each in answer.get("records", ())]
    return place, records, bool(spec.get("keepData"))


async def _read_topics(
    wish: DataWish,
    options: RecordOptions,
    where: tuple[str | None, tuple[Path | None, Path | None]],
    broker: BrokerOptions,
) -> tuple[str, list[dict[str, Any]]]:
    """Returns the namespace, and the last records of each topic of a pipeline."""
    from bailie.api.kinds import PIPELINE

    namespace, cluster = where
    async with connected(*cluster) as client:
        place = namespace or client.namespace
        spec = (await client.get(PIPELINE, wish.pipeline, place)).get("spec", {})
    steps = [each["name"] for each in spec.get("steps", ()) if "name" in each]

    def wanted(record: Mapping[str, Any]) -> bool:
        return _of_request(record, options.request_id)

    records = await asyncio.to_thread(
        read_topics, broker, (place, wish.pipeline), steps, most=options.offset, wanted=wanted
    )
    return place, records


def _say_nothing_is_kept(pipeline: str, *, keeps: bool) -> None:
    if keeps:
        fail(f"no request to pipeline {pipeline} is kept yet", hint="send one, and look again")
    patch = f'kubectl patch pipeline {pipeline} --type merge -p \'{{"spec": {{"keepData": true}}}}\''
    fail(
        f"the data of pipeline {pipeline} is kept nowhere",
        hint=f"`keepData: true` in its spec has its gateways keep the next requests in memory: {patch}",
    )


def _with_data(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record with the values of its binary part in the JSON, where their datatype is known."""
    import base64

    from bailie.inference.codec import unpacked

    if "binary" not in record:
        return record
    try:
        tail = base64.b64decode(record["binary"], validate=True)
    except ValueError:
        return record
    at, body = 0, dict(record.get("body") or {})
    for side in _SIDES:
        for tensor in body.get(side, ()):
            size = (tensor.get("parameters") or {}).get("binary_data_size")
            if "data" in tensor or not isinstance(size, int) or size < 0:
                continue
            raw, at = tail[at : at + size], at + size
            values = unpacked(tensor.get("datatype", ""), raw)
            texts = [
                each.decode(errors="replace") if isinstance(each, bytes) else each for each in values or ()
            ]
            tensor["data"] = texts if values is not None else base64.b64encode(raw).decode()
    return {**record, "body": body}


def _of_request(record: Mapping[str, Any], request_id: str) -> bool:
    return not request_id or request_id in {record["id"], _key(record)}


def _key(record: Mapping[str, Any]) -> str:
    """Returns the key of a record of Kafka, or the key that a record of a gateway would have there."""
    return str(record.get("key") or f"{record['pipeline']}.{record['id']}")


def _narrowed(record: Mapping[str, Any], tensor: str, *, truncate: bool) -> dict[str, Any]:
    """Returns a record with one tensor alone, and without data, as far as that is asked for."""
    body = dict(record.get("body") or {"cut": f"{record.get('cut', 0)} bytes, too many to be kept"})
    for side in _SIDES:
        if isinstance(body.get(side), list):
            kept = [each for each in body[side] if not tensor or each.get("name") == tensor]
            body[side] = [
                {key: value for key, value in each.items() if key != "data"} if truncate else each
                for each in kept
            ]
    return {**record, "body": body}


def _headers(record: Mapping[str, Any]) -> dict[str, str]:
    return record.get("headers") or {
        "pipeline": record["pipeline"],
        "x-request-id": record["id"],
        headers.PIPELINE_VERSION: str(record["version"]),
    }


def _columns(record: Mapping[str, Any], options: RecordOptions, value_of: ValueForm) -> list[str]:
    value = json.dumps(value_of(record["body"]))
    told = [json.dumps(_headers(record))] if options.verbose else []
    return [shown(_key(record), 400), *told, value]


def _message(record: Mapping[str, Any], options: RecordOptions, value_of: ValueForm) -> dict[str, Any]:
    told = {"headers": _headers(record)} if options.verbose else {}
    return {**told, "key": _key(record), "value": value_of(record["body"])}
