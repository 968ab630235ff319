"""`seldon … infer` and `metadata`: what is sent, and what is printed as upstream prints it."""

import json

import pytest
from tests.cli.test_infer import answering, version
from tests.support.commands import CommandRunner

from bailie.cli.seldon.app import app, as_typed

RUNNER = CommandRunner()
REQUEST = '{"inputs": []}'


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """The folder of the command line's own files."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "seldon" / "cli"


def seldon(server, *arguments):
    host = f"127.0.0.1:{server.server_port}"
    return RUNNER.invoke(app, as_typed([*arguments, "--inference-host", host]))


def test_an_answer_is_indented_by_tabs():
    with answering(version(":iris_1:")) as server:
        result = seldon(server, "model", "infer", "iris", REQUEST)
    assert (result.exit_code, result.stdout) == (0, '{\n\t"model_name": ":iris_1:"\n}\n')


def test_a_pipeline_is_asked_by_its_header():
    with answering(version("")) as server:
        seldon(server, "pipeline", "infer", "flow", REQUEST)
        assert server.asked[0]["seldon-model"] == "flow.pipeline"


def test_several_answers_are_counted_as_go_prints_a_map():
    with answering(version(":iris_2:"), version(":iris_1:")) as server:
        result = seldon(server, "model", "infer", "iris", "-i", "4", REQUEST)
    assert result.stdout == "Success: map[:iris_1::2 :iris_2::2]\n"


def test_those_that_fail_are_counted_too():
    with answering(version(":iris_1:"), (503, {}, {})) as server:
        result = seldon(server, "model", "infer", "iris", "-i", "2", REQUEST)
    assert (result.exit_code, result.stdout) == (1, "Success: map[:iris_1::1]\nFailed: map[503:1]\n")


def test_requests_are_sent_for_a_time():
    with answering(version(":iris_1:")) as server:
        result = seldon(server, "model", "infer", "iris", "--seconds", "0.3", REQUEST)
        assert len(server.asked) > 1
    assert result.stdout == f"Success: map[:iris_1::{len(server.asked)}]\n"


def test_a_sticky_session_sends_the_route_of_the_last_answer(config):
    with answering(version(":iris_2:")) as server:
        for _ in range(2):
            seldon(server, "model", "infer", "iris", "-s", REQUEST)
        seldon(server, "model", "infer", "iris", REQUEST)
        assert [asked.get("x-seldon-route") for asked in server.asked] == [None, ":iris_2:", None]
    assert (config / "session").read_text() == ":iris_2:"


def test_headers_of_both_sides_are_shown():
    with answering(version(":iris_1:")) as server:
        result = seldon(server, "model", "infer", "iris", REQUEST, "--show-headers", "--header", "a=b")
    assert "> seldon-model:[iris]\n> a:[b]\n" in result.stdout
    assert "< x-seldon-route:[:iris_1:]\n" in result.stdout


def test_the_request_is_shown_and_the_answer_left_out():
    with answering(version(":iris_1:")) as server:
        result = seldon(server, "model", "infer", "iris", REQUEST, "-r", "--show-response=false")
    assert json.loads(result.stdout) == {"inputs": []}


def test_an_authority_is_sent_as_the_host():
    with answering(version(":iris_1:")) as server:
        seldon(server, "model", "infer", "iris", REQUEST, "--authority", "models.example.com")
        assert (server.asked[0].get("Host") or server.asked[0]["host"]) == "models.example.com"


@pytest.mark.parametrize(("status", "code"), [(404, 3), (503, 4), (400, 1)])
def test_the_words_of_an_error_are_told(status, code):
    with answering((status, {}, {"error": "no luck"})) as server:
        result = seldon(server, "model", "infer", "iris", REQUEST)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"error: {status} no luck\n"


def test_the_active_configuration_says_where_the_data_plane_is(tmp_path):
    path = tmp_path / "local.json"
    with answering(version(":iris_1:")) as server:
        host = f"127.0.0.1:{server.server_port}"
        path.write_text(json.dumps({"dataplane": {"inferHost": host}, "kafka": {"bootstrap": "k:9092"}}))
        added = RUNNER.invoke(app, ["config", "add", "local", str(path)])
        assert "kafka has no effect" in added.stderr
        assert RUNNER.invoke(app, ["config", "activate", "local"]).exit_code == 0
        assert RUNNER.invoke(app, ["model", "infer", "iris", REQUEST]).exit_code == 0
    shown = RUNNER.invoke(app, ["config", "list"]).stdout.splitlines()[2].split()
    assert shown == ["local", str(path), "*"]
    assert RUNNER.invoke(app, ["config", "deactivate", "local"]).exit_code == 0
    assert RUNNER.invoke(app, ["config", "remove", "local"]).exit_code == 0
    assert RUNNER.invoke(app, ["config", "list"]).stdout.splitlines()[2:] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"dataplane": []}', "must be an object"), ('{"dataplane": {"inferHost": 5}}', "a text")],
)
def test_a_configuration_that_says_no_address_is_said(tmp_path, text, message):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    RUNNER.invoke(app, ["config", "add", "wrong", str(path)])
    RUNNER.invoke(app, ["config", "activate", "wrong"])
    result = RUNNER.invoke(app, ["model", "infer", "iris", REQUEST])
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_the_variable_of_upstream_says_where_the_data_plane_is():
    with answering(version(":iris_1:")) as server:
        variables = {"SELDON_INFER_HOST": f"127.0.0.1:{server.server_port}"}
        result = RUNNER.invoke(app, ["model", "infer", "iris", REQUEST], env=variables)
    assert result.exit_code == 0, result.stderr


def test_grpc_goes_without_tls():
    host = ("--inference-host", "https://models.example.com", "--inference-mode", "grpc")
    result = RUNNER.invoke(app, ["model", "infer", "iris", REQUEST, *host])
    assert (result.exit_code, "gRPC goes without TLS" in result.stderr) == (2, True)


@pytest.mark.parametrize("text", ["{", "[]", '{"configs": []}', "\udcff"])
def test_a_damaged_file_ends_the_command_with_a_sentence(config, text):
    config.mkdir(parents=True)
    (config / "configs.json").write_bytes(text.encode(errors="surrogateescape"))
    result = RUNNER.invoke(app, ["config", "list"])
    assert result.exit_code == 2
    assert str(config / "configs.json") in result.stderr
