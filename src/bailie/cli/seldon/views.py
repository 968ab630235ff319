"""Objects of the API in the words and JSON of Seldon Core v2's scheduler, which notebooks read. Pure.

Used by `kinds`, `commands`, `infer` and `config`. Keys and states are those of upstream's
status messages, as far as the API knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.status import status_of
from bailie.local.readiness import condition, is_current

if TYPE_CHECKING:
    from collections.abc import Sequence

Manifest = dict[str, Any]

AVAILABLE, PROGRESSING, FAILED, UNKNOWN = (
    "ModelAvailable",
    "ModelProgressing",
    "ModelFailed",
    "ModelStateUnknown",
)
MODEL_STATES = (
    AVAILABLE,
    PROGRESSING,
    FAILED,
    UNKNOWN,
    "ModelTerminating",
    "ModelTerminated",
    "ModelScaledDown",
    "ScheduleFailed",
)
_OTHER_REASONS = {
    "ServerNotReady": PROGRESSING,
    "RoutePending": PROGRESSING,
    "BelowMinReplicas": "ScheduleFailed",
    "NoServerFits": "ScheduleFailed",
}
"""Bailie's reasons that upstream has no state for; any further reason is a failure's."""
PIPELINE_READY, PIPELINE_FAILED, PIPELINE_UNKNOWN = "PipelineReady", "PipelineFailed", "PipelineStatusUnknown"
PIPELINE_STATES = (PIPELINE_READY, PIPELINE_FAILED, PIPELINE_UNKNOWN)
ACTIVE, INACTIVE = "active", "not active"
_NOT_LOOKED_AT = "no scheduler has looked at it yet"
_TAB = 8


def model_state(model: Manifest) -> tuple[str, str]:
    """Returns the state of a Model's newest version and, unless it is available, why."""
    if model["metadata"].get("deletionTimestamp"):
        return "ModelTerminating", ""
    rolled = condition(model, "RolledOut")
    if not rolled.get("reason"):
        return UNKNOWN, _NOT_LOOKED_AT
    if rolled["status"] == "True":
        return (AVAILABLE, "") if is_current(model) else (PROGRESSING, "")
    reason = rolled["reason"]
    state = reason if reason in MODEL_STATES else _OTHER_REASONS.get(reason, FAILED)
    return state, str(rolled.get("message") or reason)


def model_status(model: Manifest) -> dict[str, Any]:
    """Returns a Model as `seldon model status` prints it."""
    state, reason = model_state(model)
    metadata, spec, status = model["metadata"], model["spec"], status_of(model)
    server = str(status.get("selector", "")).partition("server=")[2]
    changed = condition(model, "RolledOut").get("lastTransitionTime")
    told = {
        "state": state,
        "reason": reason,
        "availableReplicas": status.get("availableReplicas", 0),
        "lastChangeTimestamp": changed,
    }
    version = {
        "version": metadata.get("generation", 1),
        "serverName": server,
        "kubernetesMeta": _kubernetes(metadata),
        "state": _said(told),
        "modelDefn": {
            "meta": {"name": metadata["name"], "kubernetesMeta": _kubernetes(metadata)},
            "modelSpec": _said(
                {
                    "uri": spec.get("storageUri"),
                    "artifactVersion": spec.get("artifactVersion"),
                    "requirements": spec.get("requirements"),
                    "server": spec.get("server"),
                }
            ),
            "deploymentSpec": _said(
                {"replicas": spec.get("replicas", 1), "minReplicas": spec.get("minReplicas")}
            ),
        },
    }
    return {"modelName": metadata["name"], "versions": [_said(version)]}


def pipeline_state(pipeline: Manifest) -> tuple[str, str]:
    """Returns the state of a Pipeline and, unless it is ready, why."""
    ready = condition(pipeline, PIPELINE_READY)
    if ready["status"] == "True":
        return PIPELINE_READY, ""
    if not ready.get("reason"):
        return PIPELINE_UNKNOWN, _NOT_LOOKED_AT
    return PIPELINE_FAILED, str(ready.get("message") or ready["reason"])


def pipeline_status(pipeline: Manifest) -> dict[str, Any]:
    """Returns a Pipeline as `seldon pipeline status` prints it."""
    status, reason = pipeline_state(pipeline)
    metadata = pipeline["metadata"]
    generation = metadata.get("generation", 1)
    defined = {
        "name": metadata["name"],
        "steps": pipeline["spec"].get("steps", []),
        "output": pipeline["spec"].get("output"),
        "version": generation,
        "kubernetesMeta": _kubernetes(metadata),
    }
    told = {
        "pipelineVersion": generation,
        "status": status,
        "reason": reason,
        "lastChangeTimestamp": condition(pipeline, PIPELINE_READY).get("lastTransitionTime"),
    }
    return {
        "pipelineName": metadata["name"],
        "versions": [{"pipeline": _said(defined), "state": _said(told)}],
    }


def experiment_state(experiment: Manifest) -> tuple[str, str]:
    """Returns whether an Experiment is active and, if not, why."""
    ready = condition(experiment, "ExperimentReady")
    if ready["status"] == "True":
        return (ACTIVE, "") if is_current(experiment) else (INACTIVE, _NOT_LOOKED_AT)
    return INACTIVE, str(ready.get("message") or ready.get("reason") or _NOT_LOOKED_AT)


def experiment_status(experiment: Manifest) -> dict[str, Any]:
    """Returns an Experiment as `seldon experiment status` prints it."""
    state, why = experiment_state(experiment)
    active = state == ACTIVE
    return {
        "experimentName": experiment["metadata"]["name"],
        "active": active,
        "candidatesReady": condition(experiment, "CandidatesReady")["status"] == "True",
        "mirrorReady": condition(experiment, "MirrorReady")["status"] == "True",
        "statusDescription": "experiment active" if active else why,
        "kubernetesMeta": _kubernetes(experiment["metadata"]),
    }


def server_status(server: Manifest) -> dict[str, Any]:
    """Returns a Server as `seldon server status` prints it."""
    status = status_of(server)
    return {
        "serverName": server["metadata"]["name"],
        "expectedReplicas": server["spec"].get("replicas", 1),
        "availableReplicas": status.get("replicas", 0),
        "numLoadedModelReplicas": status.get("loadedModels", 0),
        "kubernetesMeta": _kubernetes(server["metadata"]),
    }


def _kubernetes(metadata: Manifest) -> dict[str, Any]:
    return {"namespace": metadata["namespace"], "generation": str(metadata.get("generation", 1))}


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields that have a value, as the JSON of protobuf leaves the others out."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], ())}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns lines whose cells are filled up with tabs; a line of dashes below the header."""
    lines = [header, ["-" * len(cell) for cell in header], *rows]
    widths = [_width(max(len(line[column]) for line in lines)) for column in range(len(header) - 1)]
    return "".join(_line(line, widths) for line in lines)


def _width(longest: int) -> int:
    """Returns the columns up to the next tab stop, one of them free."""
    return (longest // _TAB + 1) * _TAB


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    filled = [
        cell + "\t" * -((len(cell) - width) // _TAB) for cell, width in zip(cells, widths, strict=False)
    ]
    return "".join([*filled, cells[-1]]) + "\n"


def go_map(counts: dict[str, int]) -> str:
    """Returns counts as Go prints a map, by which scripts compare them: `map[:iris_1::50]`."""
    return "map[" + " ".join(f"{key}:{counts[key]}" for key in sorted(counts)) + "]"
