"""What models take of a server's memory, beside what they declare."""

import pytest
from tests.e2e.conftest import bailie, until

pytestmark = pytest.mark.e2e

LARGE = """
from mlserver import MLModel
class Large(MLModel):
    async def load(self):
        self.ballast = bytearray(b"x" * (400 << 20))
        return True
"""


def test_a_model_that_takes_far_more_than_it_declares_says_so_and_goes_on(stack, model, tmp_path):
    (tmp_path / "large.py").write_text(LARGE)
    model("large", storageUri=str(tmp_path), requirements=["python"], memory="10Mi")
    stack.wait_ready("large")
    found = until(lambda: stack.condition("large", "MemoryMismatch"), what="the condition")
    assert (found["status"], found["reason"]) == ("True", "DeclaredTooLittle")
    assert found["message"].startswith("spec.memory declares 10Mi, a load took at least 1")
    assert found["message"].endswith("Mi; servers count what was measured")
    told = bailie("explain", "model", "large", "-n", "seldon-system", "--state-dir", stack.state).stdout
    assert "large_1 is Loaded, 10Mi declared, at least 1" in told
    assert stack.condition("large")["status"] == "True"


def test_a_model_larger_than_the_server_is_refused_with_the_figures(stack, model):
    model("too-large", memory="1100Mi")
    refusal = "0/1 servers fit: 1 has only 1Gi in all, less than the 1.1Gi needed"

    def refused():  # pods of a Server that another test deleted may still drain, and count
        return (stack.condition("too-large", "Scheduled") or {}).get("message") == refusal

    until(refused, seconds=150, what=refusal)
