"""A real MLServer, started as its image starts it."""

from tests.support.mlserver import mlserver_process  # noqa: F401 - a fixture
