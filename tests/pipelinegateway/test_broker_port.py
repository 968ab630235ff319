"""No broker without settings, and no import of its client library; settings that cannot be used say why."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from tests.pipelinegateway.client import settings_of
from tests.pipelinegateway.models import Models

from bailie.kafka.settings import KafkaVariables
from bailie.pipelinegateway.broker_port import broker_of

ALONE = """
import sys
from bailie.pipelinegateway import run
assert "confluent_kafka" not in sys.modules, "imported without need"
"""
MISSING = """
import sys
from pathlib import Path
sys.modules["confluent_kafka"] = None
from bailie.kafka.settings import KafkaVariables
from bailie.pipelinegateway.broker_port import broker_of
from bailie.pipelinegateway.settings import PipelineGatewaySettings
given = PipelineGatewaySettings(namespace="ns", pod="g-0", kafka=KafkaVariables(file=Path(sys.argv[1])))
note = broker_of(given).note("p")
assert not note.kept and "pip install 'bailie[kafka]'" in note.words, note
"""


def kafka(folder, text):
    place = folder / "kafka.json"
    place.write_text(text)
    return KafkaVariables(file=place)


def test_without_settings_there_is_no_broker_and_no_library(tmp_path):
    assert broker_of(settings_of(tmp_path, Models())) is None
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=60)


def test_a_missing_library_is_said(tmp_path):
    place = kafka(tmp_path, '{"bootstrap.servers": "127.0.0.1:1"}').file
    subprocess.run([sys.executable, "-c", MISSING, str(place)], check=True, timeout=60)


def test_a_file_that_is_not_the_servers_is_not_used_and_says_so(tmp_path):
    given = replace(kafka(tmp_path, '{"bootstrap.servers": "127.0.0.1:1"}'), digest="other")
    note = broker_of(settings_of(tmp_path, Models(), kafka=given)).note("p")
    assert not note.kept
    assert "read again every few seconds" in note.words
    given = replace(given, digest="none")
    assert broker_of(settings_of(tmp_path, Models(), kafka=given)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "kafka.json is no JSON"),
        ('{"bootstrap.servers": "k:1", "topics": {"numPartitions": 0}}', "numPartitions"),
    ],
)
def test_settings_that_cannot_be_used_say_why(tmp_path, text, words):
    found = broker_of(settings_of(tmp_path, Models(), kafka=kafka(tmp_path, text)))
    note = found.note("p")
    assert not note.kept
    assert words in note.words
    assert words in found.hindrance("p")
    assert found.begin(None, None, None) is None
