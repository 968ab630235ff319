from bailie.manifests.endpoints import endpoints_file


def test_endpoints_are_sorted_and_each_once():
    content = endpoints_file("seldon-scheduler", ["127.70.0.9", "127.70.0.10", "127.70.0.9"], 9002)
    (resource,) = content["resources"]
    assert resource["cluster_name"] == "seldon-scheduler"
    hosts = [
        host["endpoint"]["address"]["socket_address"] for host in resource["endpoints"][0]["lb_endpoints"]
    ]
    assert hosts == [
        {"address": "127.70.0.10", "port_value": 9002},
        {"address": "127.70.0.9", "port_value": 9002},
    ]


def test_no_pod_is_no_endpoint():
    content = endpoints_file("seldon-scheduler", [], 9002)
    assert content["resources"][0]["endpoints"] == [{"lb_endpoints": []}]
