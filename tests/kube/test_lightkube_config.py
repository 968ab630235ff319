"""Processes import the few modules of lightkube that they use; a program beside them imports all of it."""

import json
import subprocess
import sys

import pytest

SAY = """
import json
found = [name for name in sys.modules if name.partition(".")[0] == "lightkube"]
import lightkube
error = lightkube.ApiError(status=lightkube.models.meta_v1.Status(message="its own"))
print(json.dumps([found, str(error), lightkube.Client.__module__]))
"""


def ran(*lines):
    code = "\n".join(["import sys", *lines, SAY])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ["kube.client", "agent.run", "scheduler.run", "operator.run", "cli.app"])
def test_no_process_has_the_kinds_of_lightkube_and_a_program_has_all_of_it(module):
    assert ran(f"import bailie.{module}") == [[], "its own", "lightkube.core.client"]


def test_lightkube_that_is_imported_before_stays():
    found, said, _ = ran("import lightkube", "import bailie.kube.client as client")
    assert ("lightkube.models.core_v1" in found, said) == (True, "its own")
