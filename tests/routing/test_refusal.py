from bailie.routing.refusal import GrpcStatus, no_answer


def test_a_replica_that_is_gone_is_told_with_its_cause():
    refusal = no_answer("team-a", "iris", "connection refused")
    assert (refusal.status, refusal.grpc_status) == (503, GrpcStatus.UNAVAILABLE)
    assert refusal.body() == {
        "error": "no replica of model iris in namespace team-a answered: connection refused",
        "reason": "NoAnswer",
        "model": "iris",
        "namespace": "team-a",
    }
