"""The entry point as a process of its own: interrupted at any moment, a command says nothing but its code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["bailie", *{arguments!r}]
from bailie.cli.main import main
main()
"""
WHILE_IMPORTING = ("bailie.settings.reader", "bailie.cli.processes", "typer", "bailie.cli.app")


@pytest.mark.parametrize("module", WHILE_IMPORTING)
def test_a_command_that_is_interrupted_while_it_begins_leaves_no_traceback(tmp_path, module):
    code = INTERRUPTED.format(module=module, arguments=["get", "models", "--kubeconfig", "/dev/null"])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.defpath, "BAILIE_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 130, found.stderr
    assert found.stderr in {"", "error: interrupted\n"}
