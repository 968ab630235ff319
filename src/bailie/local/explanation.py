"""Why a model is where it is, a server has its replicas, a pipeline answers or does not, and who gets the
requests of an experiment.

The scheduler says it, if it can be reached; else the status does. Of a pipeline and of an experiment their
own status and those of their Models or Pipelines say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.experiment import OVER_PIPELINES
from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, POD, SELDON_RUNTIME, SERVER
from bailie.api.names import TAKEN_ENDINGS
from bailie.api.status import told_conditions
from bailie.delivery import ANNOTATION
from bailie.kube.errors import ApiError, NotFound
from bailie.local.readiness import condition
from bailie.local.scheduler_answers import ask_scheduler, not_heard
from bailie.wellknown import names

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.kube.client import Client

_AGENT = "agent"
"""The container beside the inference server, whose words are in the condition."""
_LOAD_FAILED, _SERVER_REFUSED = "LoadFailed", "ServerLoadError"
"""The state of a copy that could not be loaded, and the reason where the inference server raised an
exception."""


async def explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `model`, `summary`, `conditions`, and `trail`: a line per replica that was looked at."""
    model = await client.get(MODEL, name, namespace)
    scheduled = condition(model, "Scheduled")
    summary = scheduled.get("message") or await _why_nobody_looked(client, namespace)
    answer = await ask_scheduler(client, namespace, f"explain/{namespace}/{name}")
    # Asked for such a name, a scheduler tells of the Pipeline or Experiment whose name it is.
    told = {} if name.endswith(TAKEN_ENDINGS) else answer.value or {}
    trail = told.get(
        "trail", [not_heard(pod, "so this is from the Model's status") for pod in answer.unheard]
    )
    return {
        "model": name,
        "namespace": namespace,
        "summary": told.get("summary") or summary,
        "conditions": [each.manifest() for each in told_conditions(model)],
        "trail": [*trail, *await _traceback(client, model, told)],
        "detail": told,
    }


async def _traceback(client: Client, model: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """Returns the line that says where the server's traceback of a failed load is; the condition has its last
    line alone."""
    if condition(model, "RolledOut").get("reason") != _SERVER_REFUSED:
        return []
    namespace = model["metadata"]["namespace"]
    failed = [each["replica"] for each in told.get("standings") or () if each["state"] == _LOAD_FAILED]
    try:
        pods = [await client.get(POD, replica, namespace) for replica in failed[:1]]
    except ApiError:
        return []
    servers = [
        f"{pod['metadata']['name']} -c {container['name']} -n {namespace}"
        for pod in pods
        for container in pod["spec"]["containers"]
        if container["name"] != _AGENT
    ]
    return [f"the server's log has the traceback: bailie logs {server}" for server in servers[:1]]


async def server_explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `server`, `summary`, `conditions`, and `trail`: why it has its number, a line per replica."""
    server = await client.get(SERVER, name, namespace)
    ready = condition(server, "StatefulSetOrDeploymentReady")
    answer = await ask_scheduler(client, namespace, f"servers/{namespace}/{name}")
    told = answer.value or {}
    unheard = [not_heard(pod, "so this is from the Server's status") for pod in answer.unheard]
    return {
        "server": name,
        "namespace": namespace,
        "summary": ready.get("message")
        or f"no operator has looked at it: `bailie doctor -n {namespace}` says what is wrong",
        "conditions": [each.manifest() for each in told_conditions(server)],
        "trail": told.get("trail", unheard),
        "detail": told,
    }


async def pipeline_explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `pipeline`, `summary`, `conditions`, and `trail`: a line per step with the state of its
    Model."""
    pipeline = await client.get(PIPELINE, name, namespace)
    ready, answers = condition(pipeline, "Ready"), condition(pipeline, "PipelineGwReady")
    steps = dict.fromkeys(step["name"] for step in pipeline["spec"].get("steps") or ())
    return {
        "pipeline": name,
        "namespace": namespace,
        "summary": ready.get("message")
        or answers.get("message")
        or await _why_nobody_looked(client, namespace),
        "conditions": [each.manifest() for each in told_conditions(pipeline)],
        "trail": [f"step {step}: {await _state(client, MODEL, namespace, step)}" for step in steps],
    }


async def experiment_explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `experiment`, `summary`, `conditions`, and `trail`: a line per name and target."""
    experiment = await client.get(EXPERIMENT, name, namespace)
    spec, active = experiment["spec"], condition(experiment, "ExperimentReady")
    summary = active.get("message") or await _why_nobody_looked(client, namespace)
    kind, ending = (
        (PIPELINE, names.PIPELINE_ENDING) if spec.get("resourceType") == OVER_PIPELINES else (MODEL, "")
    )
    default = f"{spec['default']}{ending}" if spec.get("default") else ""
    callers = f"callers of {name}.experiment{f' and of {default}' if default else ''} are shared"
    if ANNOTATION in (experiment["metadata"].get("annotations") or {}):
        callers += " by its delivery, whose weights go before those of the spec"
    roles = {each["name"]: f"weight {each['weight']}" for each in spec.get("candidates") or ()}
    if mirror := spec.get("mirror"):
        roles[mirror["name"]] = f"mirror of {mirror['percent']} %"
    return {
        "experiment": name,
        "namespace": namespace,
        "summary": summary,
        "conditions": [each.manifest() for each in told_conditions(experiment)],
        "trail": [
            callers,
            *[
                f"{each}: {role}; {await _state(client, kind, namespace, each)}"
                for each, role in roles.items()
            ],
        ],
    }


async def _state(client: Client, kind: Kind, namespace: str, name: str) -> str:
    try:
        found = await client.get(kind, name, namespace)
    except NotFound:
        return f"there is no such {kind.kind}"
    ready = condition(found, "ModelReady" if kind is MODEL else "Ready")
    return str(ready.get("message") or ready.get("reason") or "nobody has looked at it")


async def _why_nobody_looked(client: Client, namespace: str) -> str:
    try:
        runtimes = (await client.list(SELDON_RUNTIME, namespace)).items
    except ApiError:
        runtimes = []
    else:
        if not runtimes:
            return (
                f"no scheduler has looked at it, for namespace {namespace} has no SeldonRuntime: the chart"
                f" seldon-core-v2-runtime makes one, on a laptop `bailie scope add {namespace}`"
            )
    return f"no scheduler has looked at it: `bailie doctor -n {namespace}` says what is wrong"
