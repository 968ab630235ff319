from __future__ import annotations

from bailie.pipelinegateway.model_names import ModelNames


def test_names_come_and_go_and_a_new_scheduler_tells_them_all():
    found = ModelNames()
    assert found.names == set()
    found.take(["a", "b"], (), whole=True)
    found.take(["c"], ["a", "unknown"], whole=False)
    assert found.names == {"b", "c"}
    found.take(["d"], (), whole=True)
    assert found.names == {"d"}
