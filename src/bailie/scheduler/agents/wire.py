"""Translates between the values of `agent_port` and the agents' protocol (proto/bailie/_gen/agent.proto).

Used by `session` and `service`. Checks each message of an agent; keeps nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from bailie._gen import agent_pb2 as pb
from bailie.api.names import is_dns_label
from bailie.api.texts import shown
from bailie.control.agent_port import EvictCommand, ModelReport, UnloadCommand
from bailie.lifecycle.copies import CopyState
from bailie.lifecycle.journal import JournalNote
from bailie.lifecycle.wire import LONGEST_REPORT, detail_bytes, from_wire, signature_from_wire
from bailie.placement.snapshot import ReplicaId, VersionId
from bailie.routing.table import MAX_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.model import Model
    from bailie.control.agent_port import Command

PROTOCOL = 1
MOST_VERSIONS = 50_000
"""On one replica, in any state: more than twice as many as the largest measurements load."""
LONGEST_MESSAGE = LONGEST_REPORT + 16
"""Bytes of a message after the hello: a report and its tag."""
NO_MESSAGE = "this is no message of the agents' protocol"
MOST_REPLICAS = 10_000
"""Of one Server."""
_TENSOR_BYTES = 128
"""Of memory, for a tensor without a name."""
_MOST_CAPABILITIES = 256
_LONGEST_NAME = 253
"""Characters of a capability, a Model's name or an identity."""
_LONGEST_WORDS = 4096
"""Characters of an agent's words about a model; conditions hold 32,768 together."""
_LONGEST_PATH = 200
"""Characters of a path in an artifact."""
_LONGEST_SENTENCE = 300
_LONGEST_PROBLEM = 600
_MOST_SENTENCES = 4
"""About the settings of one artifact."""
_REASON = re.compile(r"(?:[A-Za-z][A-Za-z0-9]{0,63})?")


def parsed(data: bytes) -> pb.AgentMessage | None:
    """Returns the message; None for bytes that are no message of the protocol."""
    try:
        return pb.AgentMessage.FromString(data)
    except DecodeError:
        return None


def parsed_report(data: bytes) -> pb.ModelReport | None:
    """Returns a report of an inventory; None for bytes that are none."""
    try:
        return pb.ModelReport.FromString(data)
    except DecodeError:
        return None


def replica_id(hello: pb.Hello) -> ReplicaId:
    """Returns the replica whose agent says hello."""
    return ReplicaId(hello.server, hello.replica)


def hello_problem(hello: pb.Hello, namespace: str) -> str | None:
    """Returns a sentence that says why the hello is refused in this namespace; None when it is accepted, as
    far as its inventory is. Its inventory is not looked at."""
    if hello.namespace != namespace:
        return f"this scheduler serves namespace {namespace!r}, not {hello.namespace[:_LONGEST_NAME]!r}"
    if not is_dns_label(hello.server):
        return f"{hello.server[:_LONGEST_NAME]!r} cannot be the name of a Server"
    expected = str(replica_id(hello))
    if hello.pod != expected:
        said = hello.pod[:_LONGEST_NAME]
        return f"replica {hello.replica} of server {hello.server!r} is pod {expected!r}, not {said!r}"
    if hello.replica >= MOST_REPLICAS:
        return f"a Server has at most {MOST_REPLICAS} replicas, so none has the number {hello.replica}"
    return _amount_problem(hello) or _endpoint_problem(hello.endpoint)


def _amount_problem(hello: pb.Hello) -> str | None:
    if len(hello.capabilities) > _MOST_CAPABILITIES or _longest(hello.capabilities) > _LONGEST_NAME:
        return f"capabilities are at most {_MOST_CAPABILITIES}, of at most {_LONGEST_NAME} characters each"
    return None


def report_problem(report: pb.ModelReport) -> str | None:
    """Returns a sentence that says why the report cannot be of a Model's version; None when it can be."""
    if _longest((report.version.name, report.version.identity)) > _LONGEST_NAME:
        return f"a Model's name and a version's identity have at most {_LONGEST_NAME} characters"
    return None


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _endpoint_problem(endpoint: pb.Endpoint) -> str | None:
    """Returns why Envoy would refuse the endpoint; None when it would not.

    With one endpoint that it refuses, Envoy would refuse the other routes too.
    """
    try:
        ipaddress.ip_address(endpoint.address.replace("%", " "))  # no zones: they are a machine's own
    except ValueError:
        return f"the endpoint's address is {endpoint.address[:_LONGEST_NAME]!r}, which is no IP address"
    for name, number in (("HTTP", endpoint.http_port), ("gRPC", endpoint.grpc_port)):
        if not 0 < number <= MAX_PORT:
            return f"the endpoint's {name} port is {number}, which is no port"
    if max(endpoint.held_http_port, endpoint.held_grpc_port) > MAX_PORT:
        return "the endpoint's ports for models that are not in memory are no ports"
    return None


def copy_state(report: pb.ModelReport) -> CopyState | None:
    """Returns the reported state; None where the replica has nothing of the version, or the state is new."""
    state = from_wire(report.state)
    return None if state is CopyState.UNLOADED else state


def kept_bytes(report: pb.ModelReport) -> int:
    """Returns about how much memory the signature and the words of a report take here."""
    tensors = len(report.signature.inputs) + len(report.signature.outputs)
    return detail_bytes(report) + tensors * _TENSOR_BYTES


def version_of(report: pb.ModelReport) -> tuple[VersionId, int]:
    """Returns the version of which the report speaks, and its number on the replica."""
    return VersionId(report.version.name, report.version.identity), report.version.number


def model_report(report: pb.ModelReport, state: CopyState, revision: int) -> ModelReport:
    """Returns the report as a value, its reason and message made fit for a condition."""
    version, number = version_of(report)
    reason = report.reason if _REASON.fullmatch(report.reason) else "Unknown"
    return ModelReport(
        version=version,
        number=number,
        state=state,
        revision=revision,
        reason=reason,
        message=report.message[:_LONGEST_WORDS],
        declared_bytes=report.declared_bytes,
        measured_bytes=report.measured_bytes,
        measured_at_least=report.measured_at_least,
        workers=max(1, report.workers),
        eviction=report.eviction,
        deaths=report.deaths,
        artifact_path=shown(report.artifact_path, _LONGEST_PATH),
        ignored=tuple(shown(each, _LONGEST_SENTENCE) for each in report.ignored[:_MOST_SENTENCES]),
        cause_gone=report.cause_gone,
        journal=_journal(report),
        signature=signature_from_wire(report.signature),
    )


def _journal(report: pb.ModelReport) -> JournalNote | None:
    """Returns a gateway's words about the journal of a pipeline, fit for a status."""
    if not report.HasField("journal"):
        return None
    return JournalNote(report.journal.kept, shown(report.journal.words, _LONGEST_PROBLEM))


def remotes_problem(status: pb.ReplicaStatus) -> str:
    """Returns an agent's words about the namespace's remotes, fit for a status."""
    return shown(status.remotes_problem, _LONGEST_PROBLEM)


def welcome(epoch: int, collector: str = "") -> pb.SchedulerMessage:
    """Returns the answer to a hello; `collector` is where the replica's spans go, empty for nowhere."""
    return pb.SchedulerMessage(welcome=pb.Welcome(epoch=epoch, tracing=pb.Tracing(collector=collector)))


def tracing_message(collector: str) -> pb.SchedulerMessage:
    """Returns the message that tells another collector, empty for none."""
    return pb.SchedulerMessage(tracing=pb.Tracing(collector=collector))


def models_message(names: Mapping[str, bool], *, whole: bool) -> pb.SchedulerMessage:
    """Returns the message that tells which Models have come and gone; `whole`: no others are there."""
    came, gone = ([name for name, here in sorted(names.items()) if here is which] for which in (True, False))
    return pb.SchedulerMessage(models=pb.Models(whole=whole, came=came, gone=gone))


def used_message(server_names: Iterable[str]) -> pb.SchedulerMessage:
    """Returns the message that names the versions for which requests came."""
    return pb.SchedulerMessage(used=pb.Used(server_names=sorted(server_names)))


def memory_message(idle: Iterable[str], awaited: Iterable[str], epoch: int) -> pb.SchedulerMessage:
    """Returns the message that names versions that may leave memory, and those that are to come back."""
    return pb.SchedulerMessage(memory=pb.Memory(epoch=epoch, idle=sorted(idle), awaited=sorted(awaited)))


def drained_message(stranded: Iterable[str], epoch: int) -> pb.SchedulerMessage:
    """Returns the message that lets a draining replica end."""
    return pb.SchedulerMessage(drained=pb.Drained(epoch=epoch, stranded=sorted(stranded)))


def command_message(command: Command, epoch: int) -> pb.SchedulerMessage:
    """Returns the message that orders the command."""
    version = pb.ModelVersion(
        name=command.version.model, identity=command.version.identity, number=command.number
    )
    if isinstance(command, EvictCommand):
        return pb.SchedulerMessage(evict=pb.Evict(epoch=epoch, version=version, eviction=command.eviction))
    if isinstance(command, UnloadCommand):
        return pb.SchedulerMessage(unload=pb.Unload(epoch=epoch, version=version, deleted=command.deleted))
    load = pb.Load(
        epoch=epoch,
        version=version,
        source=model_source(command.model),
        memory_bytes=command.memory_bytes,
    )
    return pb.SchedulerMessage(load=load)


def model_source(model: Model) -> pb.ModelSource:
    """Returns the part of the Model's spec that the agent needs."""
    spec = model.spec
    source = pb.ModelSource(
        storage_uri=spec.storage_uri,
        artifact_version=spec.artifact_version,
        secret_name=spec.secret_name or "",
        requirements=spec.effective_requirements,
        parameters=[pb.Parameter(name=item.name, value=item.value) for item in spec.parameters],
    )
    if spec.explainer is not None:
        source.explainer.CopyFrom(
            pb.Explainer(
                type=spec.explainer.type or "",
                model_ref=spec.explainer.model_ref or "",
                pipeline_ref=spec.explainer.pipeline_ref or "",
            )
        )
    if spec.llm is not None:
        source.llm.CopyFrom(
            pb.Llm(model_ref=spec.llm.model_ref or "", pipeline_ref=spec.llm.pipeline_ref or "")
        )
    return source
