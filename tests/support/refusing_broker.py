"""The broker that is part of the client library, for what the other one (`broker`) cannot do: refuse a topic.

It runs in threads of this process, keeps records in memory, and makes topics of four partitions when they
are asked for. Its transactions never hide a record, so it shows no exactly-once.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

import confluent_kafka
from tests.support.broker import Broker

_PRODUCER = 0
_FETCH = 1
"""The protocol's number of a question for records."""


def _library():
    """Returns the library with which confluent-kafka came, and the types of the functions used here."""
    assert confluent_kafka.libversion()
    (path,) = [each for each in files("confluent-kafka") if re.match(r"librdkafka.*\.so", each.name)]
    found = ctypes.CDLL(str(Path(str(path.locate())).resolve()))
    found.rd_kafka_new.restype = ctypes.c_void_p
    found.rd_kafka_new.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    found.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    found.rd_kafka_mock_cluster_new.argtypes = [ctypes.c_void_p, ctypes.c_int]
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    found.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    found.rd_kafka_mock_topic_set_error.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    found.rd_kafka_mock_topic_create.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    found.rd_kafka_mock_push_request_errors_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int16,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_int),
    ]
    for name in ("rd_kafka_mock_cluster_destroy", "rd_kafka_destroy"):
        getattr(found, name).argtypes = [ctypes.c_void_p]
    return found


class RefusingBroker(Broker):
    """A broker, while `refusing_broker` is entered."""

    def __init__(self, library, cluster):
        self._library, self._cluster = library, cluster
        self._address = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    @property
    def address(self):
        return self._address

    def make(self, *topics, partitions=1):
        for each in topics:
            error = self._library.rd_kafka_mock_topic_create(self._cluster, each.encode(), partitions, 1)
            assert error == 0, error

    def refuse(self, topic, code):
        """Has the broker answer questions for a topic with this code; 0 for the truth."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def refuse_next_fetch(self, code):
        """Has the broker answer the next question for records with this code."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, _FETCH, 1, (ctypes.c_int * 1)(code)
        )


@contextmanager
def refusing_broker():
    """Runs a broker while entered."""
    library, words = _library(), ctypes.create_string_buffer(512)
    client = library.rd_kafka_new(_PRODUCER, None, words, len(words))
    assert client, words.value
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    try:
        yield RefusingBroker(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)
