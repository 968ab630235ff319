"""What the processes of pods owe to being process 1 of a container."""

import os
import signal
import subprocess
import sys


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
            assert process.wait(20) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
