"""How deep and large data may be, by every codec and every kind of patch."""

from __future__ import annotations

import json

import pytest
from tests.support.fuzz_known import BOMB, MERGES, deep
from tests.support.fuzz_objects import APPLY, JSON, JSON_PATCH, MERGE, STRATEGIC, YAML

from kubeapi import limits
from kubeapi.errors import ApiError
from kubeapi.wire import codec

DEPTHS = [1, 50, 98, 99, 100, 101, 102, 253, 254, 255, 300, 500, 999, 1000, 1024, 1025, 3000, 20_000, 100_000]


@pytest.fixture
def http(api):
    with api.http() as client:
        yield client


@pytest.fixture
def target(http, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    http.post(path, json={"metadata": {"name": "t"}, "data": {"k": "v"}}).raise_for_status()
    return f"{path}/t"


def refusal(data):
    with pytest.raises(ApiError) as error:
        limits.check(data)
    return error.value.code


def test_the_depth_counts_lists_and_objects():
    limits.check(json.loads(deep(limits.DEEPEST)))
    assert refusal(json.loads(deep(limits.DEEPEST + 1))) == 400
    assert refusal(json.loads(deep(limits.DEEPEST + 1, opening='{"a":', closing="}"))) == 400


def test_the_size_counts_what_an_alias_stands_for():
    once = ["x" * 1000] * 1000
    limits.check([once, once])
    assert refusal([once] * 4) == 413
    assert refusal({"k" * 1000: 1, "more": [{"k" * 1000: 1}] * 4000}) == 413
    endless: list = []
    endless.append(endless)
    assert refusal(endless) == 400


@pytest.mark.parametrize("kind", [JSON, YAML, MERGE, STRATEGIC, JSON_PATCH, APPLY])
@pytest.mark.parametrize("place", ["{}", '{{"metadata":{{"annotations":{}}}}}', '{{"data":{}}}'])
def test_every_depth_has_an_answer_in_words(http, target, kind, place):
    for depth in DEPTHS:
        text = place.format(deep(depth))
        answer = http.patch(
            target, params={"fieldManager": "f"}, content=text, headers={"content-type": kind}
        )
        assert 400 <= answer.status_code < 500, (depth, answer.status_code, answer.text[:200])
        assert answer.json()["message"], depth


@pytest.mark.parametrize("opening", ["[", "{a: ", "[{"])
def test_yaml_is_read_no_further_than_to_the_deepest_level(opening):
    """Half a second of work otherwise, before the same refusal."""
    with pytest.raises(ApiError) as error:
        codec.json_of_yaml(opening.encode() * (limits.DEEPEST + 1) + b"@ cannot begin a word")
    assert (error.value.code, "deeper than 100 levels" in str(error.value)) == (400, True)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_free_field_takes_what_is_not_too_deep(http, namespace, depth):
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/servers"
    text = (
        f'{{"metadata":{{"name":"s{depth}"}},"spec":{{"serverConfig":"m","podSpec":{{"x":{deep(depth)}}}}}}}'
    )
    answer = http.post(path, content=text, headers={"content-type": JSON})
    assert answer.status_code == (201 if depth + 3 <= limits.DEEPEST else 400)
    if answer.status_code == 201:
        assert http.get(f"{path}/s{depth}").json()["spec"]["podSpec"]["x"] == json.loads(deep(depth))


def test_a_patch_may_not_make_an_object_too_deep(http, namespace):
    path = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/servers"
    spec = {"serverConfig": "m", "podSpec": {"x": json.loads(deep(90))}}
    http.post(path, json={"metadata": {"name": "s"}, "spec": spec}).raise_for_status()
    moved = [{"op": "move", "from": "/spec/podSpec/x", "path": "/spec/podSpec/y"}] + [
        {"op": "add", "path": "/spec/podSpec/z" + "/a" * n, "value": {}} for n in range(60)
    ]
    moved.append({"op": "copy", "from": "/spec/podSpec/y", "path": "/spec/podSpec/z" + "/a" * 59 + "/b"})
    answer = http.patch(f"{path}/s", content=json.dumps(moved), headers={"content-type": JSON_PATCH})
    assert (answer.status_code, "deeper than 100 levels" in answer.text) == (400, True)


def test_copies_of_copies_end(http, target):
    doubled = [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(60)]
    answer = http.patch(target, content=json.dumps(doubled), headers={"content-type": JSON_PATCH})
    assert (answer.status_code, "copy at most 200000 values" in answer.text) == (422, True)


def test_a_patch_has_an_end_of_operations(http, target):
    many = [{"op": "test", "path": "/data/k", "value": "v"}] * 10_001
    answer = http.patch(target, content=json.dumps(many), headers={"content-type": JSON_PATCH})
    assert (answer.status_code, "at most 10000 operations" in answer.text) == (422, True)


def test_an_object_does_not_grow_patch_by_patch(http, target):
    for name in ("a", "b", "c", "d"):
        answer = http.patch(
            target, content=json.dumps({"data": {name: "x" * 1_000_000}}), headers={"content-type": MERGE}
        )
    assert answer.status_code == 413
    assert set(http.get(target).json()["data"]) == {"k", "a", "b", "c"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (BOMB, 413),
        (MERGES, 413),
        ("&a [*a]", 400),
        ("&a {x: *a}", 400),
        ("? [1, 2]\n: x", 400),
        ("? {a: 1}\n: x", 400),
        ("a: !!python/object/apply:os.system [id]", 400),
        ("a: !!binary x", 400),
        ("- " * 5000 + "a", 400),
        ("a: " * 5000, 400),
        ("a: 1" + " " * 600_000, 413),
        ("\0", 400),
        ("a: b: c", 400),
        ("", 400),
    ],
)
def test_yaml_that_means_no_good(http, namespace, text, status):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    answer = http.post(path, content=text, headers={"content-type": YAML})
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()["message"]


@pytest.mark.parametrize("text", ["ä€😀", "a\r\nx: y", "a\nb", "\x7f\x00", 'a"b\\c', "x" * 100_000])
def test_a_warning_is_a_header_whatever_it_says(text):
    response = codec.json_response({}, warnings=[text])
    (value,) = [value for name, value in response.raw_headers if name == b"warning"]
    assert not set(value) & {0, 10, 13}
    assert len(value) < 2000
    assert value.startswith(b'299 - "')
    value.decode()


def test_there_are_not_endless_warnings():
    response = codec.json_response({}, warnings=[f"w{n}" for n in range(10_000)])
    assert len(response.headers.getlist("warning")) == 20


JSON_FORMS = ["NaN", "Infinity", "-Infinity", "nan", "1e400", "-1e400"]
YAML_FORMS = [".nan", ".NaN", ".inf", "-.inf", "+.Inf", "1.0e+999"]
WRITES = {"PATCH": [MERGE, STRATEGIC, JSON_PATCH, APPLY], "PUT": [JSON, YAML], "POST": [JSON, YAML]}


def bodies(number, kind):
    """What would store the number, in a content type."""
    if kind == JSON_PATCH:
        return [f'[{{"op":"add","path":"/metadata/annotations","value":{{"a":{number}}}}}]']
    found = [f'{{"metadata":{{"name":"t","annotations":{{"a":{number}}}}}}}', f'{{"extra":[1.5,{number}]}}']
    if kind in {YAML, APPLY} and number in YAML_FORMS:
        found += [f"metadata:\n  annotations:\n    a: {number}\n", f"data:\n  {number}: v\n"]
    return found


@pytest.mark.parametrize("number", [*JSON_FORMS, *YAML_FORMS])
def test_a_number_that_json_lacks_is_refused_by_every_codec_and_stored_nowhere(http, target, number):
    before = http.get(target).json()
    for method, kinds in WRITES.items():
        url = target if method != "POST" else target.rpartition("/")[0]
        for kind, text in [(each, text) for each in kinds for text in bodies(number, each)]:
            answer = http.request(
                method, url, params={"fieldManager": "f"}, content=text, headers={"content-type": kind}
            )
            assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest"), (method, kind, text)
    assert http.get(target).json() == before
