"""Makes model folders for an inference server out of downloaded artifacts, one module per kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.agent.repository import mlserver, triton

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bailie._gen import agent_pb2
    from bailie.agent.repository.prepared import Prepared
    from bailie.agent.repository.server_words import ServerWords

    Prepare = Callable[[Path, Path, "agent_pb2.ModelSource", str, ServerWords], Prepared]
    Runtime = Callable[[Path], str]

PREPARE: Mapping[str, Prepare] = {"mlserver": mlserver.prepare, "triton": triton.prepare}
"""By server type: `prepare(artifact, target, source, server_name, words)` moves the needed part of the
artifact's folder into `target`, a folder that does not exist yet. Raises RepositoryError; OSError when the
disk fails."""

RUNTIME: Mapping[str, Runtime] = {"mlserver": mlserver.runtime, "triton": triton.runtime}
"""By server type: `runtime(folder)` names the runtime of a prepared model: two models of one name share its
libraries."""
