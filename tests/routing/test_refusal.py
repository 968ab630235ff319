from bailie.routing.refusal import GrpcStatus, no_answer, overloaded


def test_a_replica_that_is_gone_is_told_with_its_cause():
    refusal = no_answer("team-a", "iris", "connection refused")
    assert (refusal.status, refusal.grpc_status) == (503, GrpcStatus.UNAVAILABLE)
    assert refusal.body() == {
        "error": "no replica of model iris in namespace team-a answered: connection refused",
        "reason": "NoAnswer",
        "model": "iris",
        "namespace": "team-a",
    }


def test_what_waits_beyond_the_limit_is_told_so():
    refusal = overloaded("team-a", "iris", "256Mi wait already")
    assert (refusal.status, refusal.grpc_status) == (503, GrpcStatus.RESOURCE_EXHAUSTED)
    assert refusal.body()["reason"] == "TooManyRequestsWait"
    text = "model iris in namespace team-a takes no more requests at this moment: 256Mi wait already"
    assert refusal.body()["error"] == text
