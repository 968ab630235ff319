"""The words about a model that does not answer: how much of an exception is shown, and the callers' sentence.

Called by `conditions`, the agent, `kafka` and `pipelinegateway`. An exception of a server, of rclone or of a
disk names paths, addresses and libraries: these are for the people who may read the Model's status, not for
the model's callers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bailie.api.texts import abridged, in_quotes

if TYPE_CHECKING:
    from collections.abc import Collection

GATEWAY_FAILED = "the pipeline gateway failed; its log says more"
"""Of a request, a record or a topic that met a mistake of the pipeline gateway's own."""
UNREADABLE = "Unreadable"
"""Reason of an object at which the control plane itself has failed."""
LONGEST = 600
"""Characters of a condition's message."""
_LONGEST_CAUSE = 400
_TRACEBACK = "Traceback (most recent call last)"
_NATIVE_TRACE = re.compile(r"\s*(stack ?trace:|\[bt\] \().*", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


def being_deleted(kind: str, finalizers: Collection[str]) -> str:
    """Returns the words about an object that is being deleted. `finalizers` are those of others on it, each
    of which keeps it in the API until it is taken off."""
    text = f"the {kind} is being deleted"
    if not finalizers:
        return text
    named = abridged(finalizers, 3, words=in_quotes)
    return f"{text}, and stays until metadata.finalizers is without {named}: whoever set that takes it off"


_FOR_CALLERS = {
    "ModelProgressing": "it is being loaded",
    "ModelNotReady": "it was loaded, its server says that it is not ready, and it is being loaded again",
    "ModelNotResponding": "a request to it does not end, it answers nothing else, and it is loaded again",
    "RoutePending": "it is loaded and is about to be served",
    "InvalidSpec": "its spec has a mistake",
    UNREADABLE: "the control plane failed at reading its spec",
    "ModelTerminating": "it is being deleted",
    "ModelScaledDown": "it is scaled to zero replicas",
    "Asleep": "it is on no server, for nobody has asked for it",
    "ScheduleFailed": "no server has a place for it",
    "BelowMinReplicas": "too few replicas have a place",
    "ServerNotReady": "its server does not answer",
    "ServerNotResponding": "its server answers nobody: a model may hang there",
    "NoReplicaAvailable": "no replica has it at this moment",
    "ModelNotInMemory": "it is not in memory, and there was no room for it in time",
    "ModelFailed": "it could not be loaded",
    "ArtifactNotFound": "its artifact is not where its spec says",
    "ArtifactVersionNotFound": "its artifact has no version of the wanted number",
    "DownloadFailed": "its artifact could not be fetched",
    "AccessDenied": "its artifact's storage refuses the access",
    "NoModelFile": "its artifact has no file that its runtime reads",
    "ModelFileAmbiguous": "several files of its artifact may be the model",
    "EnvironmentNotSupported": "it needs an environment that its server cannot give it",
    "LoadTimeout": "its load took too long",
    "ServerCrashed": "its load ended the server",
    "ServerEnded": "its server ended while it answered, and it is loaded again",
    "ServerBlocked": "its load kept the server from answering",
}


def for_callers(reason: str) -> str:
    """Returns the sentence that callers of a model get for a reason: a fixed one, without any cause."""
    return _FOR_CALLERS.get(reason, _FOR_CALLERS["ModelFailed"])


def is_token(reason: str) -> bool:
    """Says whether a reason that an agent gave is a CamelCase word."""
    return _TOKEN.fullmatch(reason) is not None


def brief(cause: str) -> str:
    """Returns an exception's text for a condition: the last exception without its traceback, on one line."""
    if _TRACEBACK in cause:
        before, _, trace = cause.partition(_TRACEBACK)
        raised = [
            line for line in trace.splitlines() if line.strip() and not line.startswith((" ", "\t", ":"))
        ]
        cause = f"{before} {raised[-1]}" if raised else before
    return clipped(_NATIVE_TRACE.sub("", cause), _LONGEST_CAUSE)


def clipped(text: str, most: int = LONGEST) -> str:
    """Returns a text on one line, of `most` characters at most."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
