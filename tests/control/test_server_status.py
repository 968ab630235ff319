"""What the status of a Server says of its replicas."""

from __future__ import annotations

from tests.support.fleet import EVICTED, LOADED
from tests.support.passes import Pass

from bailie.control.server_status import ServerStatuses
from bailie.placement import ReplicaId


def world(**fields):
    made = Pass()
    made.agents.connect(**fields)
    made.statuses = ServerStatuses()
    return made


def state(found):
    return found.statuses.of("mlserver")["replicaStates"][0]


def test_a_server_is_named_when_there_is_something_new_to_say():
    found = world()
    assert found.statuses.of("mlserver") is None
    found.step()
    assert found.statuses.take(found.engine.result) == ["mlserver"]
    assert found.statuses.take(found.engine.result) == []
    assert found.statuses.of("mlserver") == {
        "loadedModels": 0,
        "replicaStates": [
            {"name": "mlserver-0", "connected": True, "ready": True, "draining": False, "modelVersions": 0}
        ],
        "remotesProblem": None,
        "scaling": None,
    }


def test_models_are_counted_where_they_are_in_memory():
    found = world()
    identity = found.served()
    assert found.statuses.take(found.engine.result) == ["mlserver"]
    found.agents.report("iris", identity, 1, LOADED)
    found.step()
    found.statuses.take(found.engine.result)
    assert (found.statuses.of("mlserver")["loadedModels"], state(found)["modelVersions"]) == (1, 1)
    found.agents.report("iris", identity, 1, EVICTED)
    found.step()
    found.statuses.take(found.engine.result)
    assert (found.statuses.of("mlserver")["loadedModels"], state(found)["modelVersions"]) == (0, 0)


def test_a_replica_that_does_not_answer_says_why():
    found = world(server_ready=False)
    found.step()
    found.statuses.take(found.engine.result)
    assert (state(found)["ready"], state(found)["reason"]) == (False, "ServerNotReady")
    found.agents.change(ReplicaId("mlserver", 0), server_silent=True)
    found.step()
    found.statuses.take(found.engine.result)
    assert state(found)["reason"] == "ServerNotResponding"


def test_remotes_that_cannot_be_used_are_told_until_they_can():
    found = world(remotes_problem="there is no Secret absent in namespace a")
    found.step()
    found.statuses.take(found.engine.result)
    assert found.statuses.of("mlserver")["remotesProblem"] == "there is no Secret absent in namespace a"
    found.agents.change(ReplicaId("mlserver", 0), remotes_problem="")
    found.step()
    assert found.statuses.take(found.engine.result) == ["mlserver"]
    assert found.statuses.of("mlserver")["remotesProblem"] is None
