"""What the processes of pods owe to being process 1 of a container."""

import os
import signal
import subprocess
import sys

import pytest


def test_a_process_that_still_starts_ends_when_told(tmp_path):
    """SIGTERM is ignored at first, as for process 1; reading its token holds the process before its loop."""
    token = tmp_path / "token"
    os.mkfifo(token)
    environment = {
        "PATH": os.defpath,
        "POD_NAME": "seldon-envoy-0",
        "POD_NAMESPACE": "a",
        "BAILIE_TOKEN_FILE": str(token),
    }
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        process = subprocess.Popen([sys.executable, "-m", "bailie", "envoy"], env=environment, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    try:
        with token.open("w"):  # opens once the process reads
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bailie.agent.run", {"httpx", "pydantic", "starlette", "typer"}),
        ("bailie.scheduler.run", {"click", "starlette", "typer", "uvicorn"}),
        ("bailie.operator.run", {"click", "starlette", "typer", "uvicorn"}),
    ],
)
def test_a_process_of_a_pod_imports_nothing_large_that_it_does_not_use(module, heavy):
    """On a full node each costs seconds before the process answers its first probe."""
    script = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not heavy & set(found.stdout.split())
