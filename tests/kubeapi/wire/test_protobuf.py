import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeapi.wire.protobuf import ProtobufError, decode


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields):
    """(number, value) pairs, encoded: str, bytes, int, or nested tuples of pairs."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
            continue
        data = value.encode() if isinstance(value, str) else value
        encoded += varint(number << 3 | 2) + varint(len(data)) + data
    return encoded


def envelope(api_version, kind, raw):
    return b"k8s\x00" + message((1, message((1, api_version), (2, kind))), (2, raw))


META = message((1, "a"), (2, ""), (3, "n"), (11, message((1, "app"), (2, "x"))), (8, b""))


def test_config_map():
    raw = message(
        (1, META), (2, message((1, "k"), (2, "v"))), (3, message((1, "b"), (2, b"\x00\x01"))), (4, 0)
    )
    assert decode(envelope("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "n", "labels": {"app": "x"}},
        "data": {"k": "v"},
        "binaryData": {"b": "AAE="},
        "immutable": False,
    }


def test_role_with_lists():
    rule = message((1, "get"), (1, "list"), (2, ""), (3, "pods"))
    found = decode(envelope("rbac.authorization.k8s.io/v1", "Role", message((1, META), (2, rule))))
    assert found["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]


def test_service_with_int_or_text_and_negative_numbers():
    ports = [
        message((1, "http"), (3, 80), (4, message((1, 0), (2, 9000)))),
        message((3, 81), (4, message((1, 1), (3, "web")))),
    ]
    raw = message(
        (1, META), (2, message(*((1, port) for port in ports), (4, "ClusterIP"))), (3, message((1, b"")))
    )
    found = decode(envelope("v1", "Service", raw))
    assert found["spec"] == {
        "ports": [{"name": "http", "port": 80, "targetPort": 9000}, {"port": 81, "targetPort": "web"}],
        "type": "ClusterIP",
    }
    options = decode(envelope("v1", "DeleteOptions", message((1, -1), (4, "Foreground"))))
    assert options["gracePeriodSeconds"] == -1


def test_delete_options_keep_a_zero_grace_period():
    assert decode(envelope("v1", "DeleteOptions", message((1, 0))))["gracePeriodSeconds"] == 0


def test_times():
    spec = message((3, message((1, 1_700_000_000), (2, 123_456_000))), (5, 0))
    found = decode(envelope("coordination.k8s.io/v1", "Lease", message((1, META), (2, spec))))
    assert found["spec"] == {"acquireTime": "2023-11-14T22:13:20.123456Z", "leaseTransitions": 0}
    raw = message((1, message((1, "a"), (8, message((1, 1_700_000_000))))))
    assert decode(envelope("v1", "Namespace", raw))["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"


def test_empty_parts_are_left_out():
    assert decode(envelope("v1", "Namespace", message((1, META), (2, b""), (3, message((1, "")))))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "a", "namespace": "n", "labels": {"app": "x"}},
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "does not start like"),
        (envelope("v1", "Node", b""), "v1 Node is not read as protobuf here"),
        (envelope("v1", "ConfigMap", message((99, "x"))), "field 99 of ConfigMap"),
        (envelope("v1", "ConfigMap", b"\x0a\x7f"), "ends in the middle"),
        (envelope("v1", "ConfigMap", b"\x0b"), "wire type 3"),
        (envelope("v1", "ConfigMap", b"\x80"), "not valid protobuf"),
        (envelope("v1", "ConfigMap", message((1, 5))), "a number where bytes belong"),
        (envelope("v1", "ConfigMap", message((4, "x"))), "bytes where a number belongs"),
        (envelope("v1", "ConfigMap", message((1, message((1, b"\xff"))))), "not valid protobuf"),
    ],
)
def test_bodies_that_are_not_read(body, words):
    with pytest.raises(ProtobufError, match=words):
        decode(body)


def stamped(*parts):
    """An object with a time of creation in no year."""
    return message((1, message((8, message(*parts)))))


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 100_000,  # a number without an end, which would grow with each byte
        message((1, META), (2, b"\xff\xfe")),
        stamped((1, 2**62)),
        stamped((1, -(2**62))),
        stamped((2, 2**60)),
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a",
        b"\x0b\x01",
    ],
)
def test_what_is_no_protobuf_is_said_soon(raw):
    with pytest.raises(ProtobufError):
        decode(envelope("v1", "ConfigMap", raw))


def test_a_pod_with_all_forms_that_json_has_otherwise():
    """Flat messages, amounts, empty objects that count, and numbers or texts."""
    volume = message((1, "v"), (2, message((2, b""))))
    limits = message((1, "memory"), (2, message((1, "1Gi"))))
    probe = message((1, message((3, message((1, message((1, 1), (3, "web"))))))), (2, 5))
    container = message((1, "c"), (2, "i"), (8, message((1, limits))), (10, probe))
    raw = message((1, META), (2, message((1, volume), (2, container), (4, 0))))
    assert decode(envelope("v1", "Pod", raw))["spec"] == {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {"limits": {"memory": "1Gi"}},
                "livenessProbe": {"tcpSocket": {"port": "web"}, "initialDelaySeconds": 5},
            }
        ],
        "terminationGracePeriodSeconds": 0,
    }


def test_managed_fields_are_json_within():
    entry = message((1, "me"), (2, "Apply"), (7, message((1, '{"f:data":{}}'))))
    found = decode(envelope("v1", "ConfigMap", message((1, message((1, "a"), (17, entry))))))
    assert found["metadata"]["managedFields"] == [
        {"manager": "me", "operation": "Apply", "fieldsV1": {"f:data": {}}}
    ]


def test_extra_of_a_user_is_a_list_for_each_key():
    extra = message((1, "scopes"), (2, message((1, "a"), (1, "b"))))
    raw = message((2, message((1, message((1, "me"), (4, extra))))))
    found = decode(envelope("authentication.k8s.io/v1", "SelfSubjectReview", raw))
    assert found["status"]["userInfo"] == {"username": "me", "extra": {"scopes": ["a", "b"]}}


numbers = st.integers(1, 40)
encoded = st.recursive(
    st.lists(st.tuples(numbers, st.integers(0, 2**64 - 1) | st.binary(max_size=6)), max_size=4),
    lambda inner: st.lists(st.tuples(numbers, inner.map(lambda fields: message(*fields))), max_size=4),
    max_leaves=12,
).map(lambda fields: message(*fields))


@pytest.mark.parametrize(
    "kind", ["v1 Pod", "v1 ConfigMap", "apps/v1 Deployment", "authentication.k8s.io/v1 TokenReview"]
)
@given(raw=encoded | st.binary(max_size=40))
def test_whatever_is_sent_is_an_object_or_a_refusal(kind, raw):
    with contextlib.suppress(ProtobufError):
        found = decode(envelope(*kind.split(), raw))
        assert (found["apiVersion"], found["kind"]) == tuple(kind.split())
