"""One scheduler from the API to agents and data plane: embedded API, real gRPC, simulated replicas."""

from __future__ import annotations

from tests.support.waiting import until


async def test_a_model_becomes_ready_when_it_is_loaded_and_routed(namespace):
    namespace.server()
    namespace.model(requirements=["sklearn"])
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        assert replica.loads == ["iris_1"]
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
        status = namespace.status()
        assert (status["replicas"], status["availableReplicas"]) == (1, 1)
        assert status["selector"] == "server=mlserver"
        await until(lambda: namespace.status("mlserver", "servers").get("loadedModels") == 1)
