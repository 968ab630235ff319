import json

from bailie._gen import inference_pb2 as pb
from bailie.gateway.model_index import ModelIndex, index, index_json, openai_json
from bailie.routing.table import Asleep, Backend, NotReady, ReplicaEndpoint, Route, RoutingTable

R0 = (ReplicaEndpoint("mlserver-0", "127.0.0.2", 9000, 9500),)
TABLE = RoutingTable(
    "ns",
    {
        "split": Route((Backend("split_1", 1, R0), Backend("split_12", 3, R0))),
        "slow": NotReady("Loading", 'is "loading"'),
        "fraud.v2": Route((Backend("fraud.v2_7", 1, R0),)),
        "rare": Asleep("rare_3", 7),
    },
)
ROWS = [
    {"name": "fraud.v2", "version": "7", "state": "READY", "reason": ""},
    {"name": "rare", "version": "3", "state": "READY", "reason": "asleep: the first request wakes it"},
    {"name": "slow", "version": "", "state": "UNAVAILABLE", "reason": 'Loading: is "loading"'},
    {"name": "split", "version": "1", "state": "READY", "reason": ""},
    {"name": "split", "version": "12", "state": "READY", "reason": ""},
]


def test_every_version_that_answers_and_every_model_that_does_not_is_listed():
    assert json.loads(index_json(TABLE, only_ready=False)) == ROWS
    whole = index(TABLE, only_ready=False)
    assert whole.models == [pb.RepositoryIndexResponse.ModelIndex(**row) for row in ROWS]


def test_those_that_answer_can_be_asked_for_alone():
    ready = [row for row in ROWS if row["state"] == "READY"]
    assert json.loads(index_json(TABLE, only_ready=True)) == ready
    assert [each.name for each in index(TABLE, only_ready=True).models] == [row["name"] for row in ready]


def test_an_experiment_is_one_entry_without_a_version():
    shares = Route((Backend("a_1", 1, R0), Backend("b_12", 3, R0)), sticky=True)
    table = RoutingTable("ns", {"flower.experiment": shares, "a": shares})
    found = [(each.name, each.version, each.state) for each in index(table, only_ready=True).models]
    assert found == [("a", "", "READY"), ("flower.experiment", "", "READY")]


def test_openai_lists_each_model_that_answers_once():
    rows = [
        {"id": name, "object": "model", "created": 0, "owned_by": "ns"}
        for name in ("fraud.v2", "rare", "split")
    ]
    assert json.loads(openai_json(TABLE)) == {"object": "list", "data": rows}


def test_a_form_is_made_once_for_a_table():
    lists = ModelIndex()
    made = lists.json(TABLE, only_ready=False)
    assert lists.json(TABLE, only_ready=False) is made
    assert lists.json(TABLE, only_ready=True) != made
    assert lists.openai(TABLE) == openai_json(TABLE)
    empty = RoutingTable("ns")
    assert lists.json(empty, only_ready=False) == b"[]"
    assert lists.protobuf(empty, only_ready=False) == b""
    assert lists.protobuf(TABLE, only_ready=True) == index(TABLE, only_ready=True).SerializeToString()


def test_strangers_may_ask_a_few_times_a_second():
    taken = sum(ModelIndex().allowance.take() for _ in range(10))
    lists = ModelIndex()
    assert taken == 10
    assert sum(lists.allowance.take() for _ in range(10_000)) < 1_000
