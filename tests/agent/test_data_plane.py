"""Where a model that calls others is told to call."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bailie._gen.agent_pb2 import Explainer, Llm, ModelSource
from bailie.agent.data_plane import addressed
from bailie.agent.errors import LoadFailed
from bailie.agent.settings import Settings
from bailie.manifests.endpoints import endpoints_file

CLUSTER = Settings(namespace="a", pod="m-0", server="m", replica=0)
CALLS = ModelSource(llm=Llm(model_ref="chat"))


@pytest.fixture
def laptop(tmp_path):
    (tmp_path / "a").mkdir()
    return replace(CLUSTER, endpoints_dir=tmp_path)


def write(laptop, *addresses):
    content = endpoints_file("seldon-mesh", addresses, 9000)
    (laptop.endpoints_dir / "a" / "seldon-mesh.json").write_text(json.dumps(content))


def test_on_a_cluster_it_is_the_service():
    assert addressed(CALLS, CLUSTER).inference_url == "http://seldon-mesh:80"
    assert addressed(ModelSource(explainer=Explainer(model_ref="iris")), CLUSTER).inference_url


def test_on_a_laptop_it_is_what_stands_behind_the_service(laptop):
    write(laptop, "127.70.0.9")
    assert addressed(CALLS, laptop).inference_url == "http://127.70.0.9:9000"
    assert CALLS.inference_url == ""


def test_an_address_needs_no_look_up(laptop):
    given = replace(laptop, envoy_host="10.0.0.1", envoy_port=8080)
    assert addressed(CALLS, given).inference_url == "http://10.0.0.1:8080"


def test_what_calls_nobody_or_is_told_already_is_left_alone(laptop):
    told = ModelSource(llm=Llm(model_ref="chat"), inference_url="http://x")
    assert addressed(told, laptop) is told
    plain = ModelSource()
    assert addressed(plain, laptop) is plain


def test_a_data_plane_that_is_not_there_is_named(laptop):
    with pytest.raises(LoadFailed, match=r"DataPlaneUnknown: .*seldon-mesh\.json is no help"):
        addressed(CALLS, laptop)
    write(laptop)
    with pytest.raises(LoadFailed, match='no Envoy stands behind Service "seldon-mesh" yet'):
        addressed(CALLS, laptop)
