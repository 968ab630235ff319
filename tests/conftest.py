"""Options and fixtures for all tests."""

from __future__ import annotations

import gc
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings
from tests.support.golden import Golden
from tests.support.mlserver import mlserver_process  # noqa: F401 - a fixture
from tests.support.models import trained_models  # noqa: F401 - a fixture
from tests.support.scheduling import FileScheduling, give_way, import_share

if TYPE_CHECKING:
    from xdist.remote import Producer

# The same examples in every run, and no deadline for one: a busy machine is no bug.
# `--hypothesis-profile=default` looks for new ones.
settings.load_profile("ci")
settings.register_profile("fast", settings.get_profile("ci"), max_examples=10)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM (of a CI, of `timeout`) ends the run as ^C does, so that no process is left behind.

    Both are handled here: what a shell starts in the background ignores ^C.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if config.option.markexpr == "not slow":  # what is left out as a whole need not be read
        tests = Path(__file__).parent
        config.option.ignore = [*(config.option.ignore or ()), *(str(tests / name) for name in SLOW)]
    if worker := getattr(config, "workerinput", None):
        give_way(worker["workerid"], worker["workercount"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    return FileScheduling(config, log, lambda file: file.removeprefix("tests/").startswith(("e2e/", *SLOW)))


def pytest_collection(session: pytest.Session) -> None:
    """Nothing of what is collected is garbage."""
    gc.disable()
    if worker := getattr(session.config, "workerinput", None):
        import_share(worker["workerid"], worker["workercount"], session.config)


def pytest_collection_finish() -> None:
    """Nor will it be before the end, so that no collection has to look at it again."""
    gc.freeze()
    gc.enable()


SLOW = (
    "e2e/test_on_a_cluster.py",
    "e2e/test_overcommit.py",
    "e2e/test_recovery.py",
    "e2e/test_storage.py",
    "e2e/test_upgrade.py",
    "e2e/test_monitoring.py",
    "e2e/test_tracing.py",
    "e2e/test_failover.py",
    "e2e/test_two_namespaces.py",
    "e2e/test_move_from_seldon_core.py",
    "e2e/test_drain.py",
    "e2e/test_neighbours.py",
    "e2e/test_bad_loads.py",
    "e2e/test_chaos.py",
    "e2e/test_examples.py",
    "e2e/test_delivery.py",
    "upstream/test_install.py",
    "agent/test_run.py",
    "mlserver/test_bailie_models.py",
    "kubeapi/test_door_fuzz.py",
    "scheduler/test_run.py",
    "samples/test_applied.py",
    "cli/test_bare_environment.py",
    "workloads/node/test_node.py",
    "gateway/test_silent_envoys.py",
    "gateway/test_silent_peers.py",
    "gateway/test_access_log.py",
    "gateway/test_payload_log.py",
    "gateway/test_tracing.py",
    "gateway/test_control_plane.py",
    "gateway/test_dataplane.py",
    "gateway/test_mirrors.py",
    "gateway/test_held.py",
    "gateway/test_asleep.py",
    "gateway/test_pipelines.py",
    "pipelinegateway/test_gateway_fuzz.py",
    "pipelinegateway/test_asynchronous.py",
    "pipelinegateway/test_pipeline_journal.py",
    "pipelinegateway/test_connection.py",
    "kafka/test_journal.py",
    "kafka/test_refusals.py",
    "kafka/test_consuming.py",
    "kafka/test_takeover.py",
    "pipelinegateway/test_pipeline_bounds.py",
    "gateway/test_meshes.py",
    "kubeapi/test_fuzz.py",
    "kubeapi/http/test_connections.py",
    "workloads/test_kubernetes.py",
    "contract/test_kubectl_writing.py",
    "operator/test_on_kubernetes.py",
    "cli/test_moves.py",
    "charts/test_helm.py",
    "migration/test_seldon_steps.py",
    "doctor/test_gather.py",
    "migration/seldon/test_one_by_one.py",
    "benches/test_main.py",
    "gateway/test_xds_requests.py",
    "gateway/test_openai.py",
    "gateway/test_overload.py",
    "gateway/test_request_metrics.py",
    "gateway/test_cancelled_requests.py",
    "gateway/test_request_reports.py",
    "gateway/test_server_windows.py",
    "gateway/test_shares.py",
    "gateway/test_slow_readers.py",
    "gateway/test_vanished_peers.py",
    "gateway/test_hasty_callers.py",
    "dataflow/test_flow_properties.py",
    "chaos/test_deletion.py",
    "workloads/node/test_adoption.py",
    "workloads/test_pod_controllers.py",
    "workloads/node/test_exec_socket.py",
    "kubeapi/pods/test_port_forward.py",
    "chaos/test_chaos.py",
    "charts/test_values.py",
    "charts/test_reading.py",
    "charts/test_upgrade.py",
    "local/test_example_request.py",
    "doctor/isolation/test_check.py",
    "cli/test_check.py",
    "cli/test_processes.py",
    "scheduler/test_explaining.py",
    "kube/test_events.py",
    "workloads/node/test_setup.py",
    "operator/test_two_operators.py",
    "operator/test_scope.py",
    "kube/test_election.py",
    "agent/test_models.py",
    "mlserver/test_bailie_loops.py",
    "cli/seldon/test_infer.py",
    "cli/test_infer.py",
    "requirements/test_imports.py",
    "local/test_detached.py",
    "charts/test_rights.py",
    "cli/test_commands.py",
    "charts/test_network.py",
    "kubeapi/test_limits.py",
    "gateway/test_envoy.py",
    "agent/waiting/test_listeners.py",
    "kube/test_informer.py",
    "operator/test_runtimes.py",
    "migration/test_findings.py",
    "migration/test_upstream.py",
    "kube/test_client.py",
    "operator/test_run.py",
    "charts/test_repository.py",
    "charts/test_files.py",
    "operator/test_servers.py",
    "operator/test_with_pods.py",
    "charts/test_installations.py",
    "migration/seldon/test_releases.py",
    "migration/seldon/test_bad_inputs.py",
    "charts/test_takeover.py",
    "cli/test_pipeline_traces.py",
    "cli/test_scope.py",
    "cli/test_resources.py",
    "cli/test_top.py",
    "local/test_data_plane.py",
    "local/test_watch_list.py",
    "scheduler/test_fallback.py",
    "scheduler/test_bad_input.py",
    "scaling/test_replicas_properties.py",
    "upstream/test_objects.py",
    "cli/test_plans.py",
    "cli/seldon/test_app.py",
    "control/test_incremental_properties.py",
    "control/test_convergence_properties.py",
    "kubeapi/pods/test_proxy.py",
    "contract/test_kubectl_reading.py",
    "agent/test_server.py",
    "kubeapi/test_server.py",
    "agent/test_session.py",
    "contract/test_kubectl_rights_and_pods.py",
    "scheduler/agents/test_service.py",
    "gateway/test_edge_fuzz.py",
    "gateway/test_request_lua.py",
    "scheduler/test_further_namespaces.py",
    "kube/test_limits.py",
    "local/test_api_process.py",
    "gateway/test_pre_stop.py",
    "gateway/test_clients.py",
    "agent/test_server_restart.py",
    "mlserver/test_bailie_bodies.py",
    "mlserver/test_start.py",
    "gateway/test_session.py",
    "operator/test_forgetting.py",
    "migration/test_second_operator.py",
    "kube/test_garbage.py",
    "cli/test_one_move.py",
    "control/test_large_manifests.py",
    "dataflow/test_course_room.py",
    "migration/test_executor.py",
    "prose/test_callers.py",
    "scheduler/agents/test_greetings.py",
    "scheduler/agents/test_session.py",
    "scheduler/status/test_servers.py",
    "local/test_settings.py",
    "local/test_bootstrap.py",
    "kubeapi/registry/test_pod_rules.py",
    "cli/test_applying.py",
    "cli/test_nonsense.py",
    "cli/test_topic_records.py",
    "contract/test_objects.py",
    "agent/test_egress.py",
    "agent/test_artifacts.py",
    "kube/test_exec_credentials.py",
    "kube/test_folders.py",
    "kube/test_kubeconfig.py",
    "pipelinegateway/test_record_executor.py",
    "pipelinegateway/test_awaited_broker.py",
    "kube/test_lightkube_config.py",
    "local/test_supervisor.py",
    "scheduler/test_namespace.py",
    "prose/test_class_names.py",
    "api/test_consumers.py",
    "docs/test_development.py",
    "agent/waiting/test_grpc.py",
    "migration/test_lock.py",
    "kubeapi/storage/test_database.py",
    "pipelinegateway/test_record_runs.py",
    "scheduler/agents/test_hello_parts.py",
)
"""Files that take long, or start Envoy or MLServer, the longest first."""
_SERVERS = {"mlserver_process", "trained_models", "stack"}
"""Fixtures that start MLServer or need it; their tests are slow wherever they stand."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what is slow. Where workers share the files, the longest come first, so that none is left."""
    places = {name: place for place, name in enumerate(SLOW)}
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        return places.get(item.path.relative_to(tests).as_posix(), len(places))

    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if place(item) < len(places) or _SERVERS & fixtures:
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        items.sort(key=place)


def pytest_sessionstart() -> None:
    """Logs have plain tracebacks: structlog's own, with pictures by rich, take 100 ms each."""
    structlog.get_config()["processors"][-1].exception_formatter = structlog.dev.plain_traceback


@pytest.fixture(autouse=True)
def _logs_as_before():
    """Commands that run in this process set up its logs, on a standard error that is closed after them."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.path.parent / "golden", request.config.getoption("--update-golden"))
