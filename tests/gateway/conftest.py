"""A real MLServer behind Envoy, for clients that want one."""

from tests.support.mlserver import mlserver_process  # noqa: F401 - a fixture
from tests.support.models import trained_models  # noqa: F401 - a fixture
