"""Models as the scheduler reads them: where the payloads of each may go."""

from __future__ import annotations

import pytest
from tests.support.manifests import manifest_of

from bailie.api.payload_log import ANNOTATION, SinkRule
from bailie.control.wanted_models import parse_model

SINKS = {
    "http://payloads": (True, True),
    "http://payloads.logging": (False, True),
    "http://payloads.else": (False, False),
}


@pytest.mark.parametrize("sink", SINKS)
def test_a_sink_that_the_administrator_has_not_allowed_is_named_and_gets_nothing(sink):
    metadata = {"namespace": "team-a", "annotations": {ANNOTATION: sink}}
    manifest = manifest_of("Model", "iris", {"storageUri": "gs://bucket/iris", "logger": {}})
    manifest["metadata"] |= metadata
    for rule, allowed in zip((SinkRule(), SinkRule.parse("*.logging")), SINKS[sink], strict=True):
        found = parse_model(manifest, rule)
        assert (found.payload_log is not None, not found.warnings) == (allowed, allowed)
        assert found.model is not None
        assert found.replicas == 1
    assert parse_model(manifest).payload_log is not None
