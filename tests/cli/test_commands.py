"""Commands as a user types them, without anything running."""

import http.server
import json
import subprocess
import sys
import threading

import pytest
import yaml
from tests.support.commands import CommandRunner

from bailie import __version__
from bailie.cli.app import COMMANDS, app
from bailie.cli.files import stated
from bailie.cli.inspect import _print_rows
from bailie.cli.output import MEANINGS, ExitCode
from bailie.inference.codec import reason_of
from bailie.local.demo import Row

RUNNER = CommandRunner()


def run(*arguments, stdin=None):
    return RUNNER.invoke(app, list(arguments), input=stdin)


@pytest.mark.parametrize("command", [command.__name__ for group in COMMANDS.values() for command in group])
def test_every_command_has_help(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3


def test_version_as_text_and_json():
    assert run("version").stdout.strip() == __version__
    assert json.loads(run("version", "-o", "json").stdout)["version"] == __version__


def test_crds_are_seven_definitions():
    found = list(yaml.safe_load_all(run("crds").stdout))
    assert {item["spec"]["names"]["kind"] for item in found} >= {"Model", "Server", "SeldonRuntime"}
    assert len(found) == 7


def test_crds_as_json_are_one_list():
    value = json.loads(run("crds", "-o", "json").stdout)
    assert value["kind"] == "List"
    assert len(value["items"]) == 7


def test_status_says_when_nothing_runs(tmp_path):
    result = run("status", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert f"nothing runs in {tmp_path}" in result.stderr
    assert "hint: start with `bailie up`" in result.stderr


LOOKING = (
    ("doctor",),
    ("explain", "model", "iris"),
    ("get", "models"),
    ("delete", "model", "iris"),
    ("infer", "iris", "{}"),
    ("logs", "seldon-scheduler-0"),
    ("scope", "list"),
    ("scope", "add", "a"),
)


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_state_directory_that_was_named_is_the_only_one_asked(tmp_path, monkeypatch, command):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "production"))
    result = run(*command, "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"error: nothing runs in {tmp_path}\nhint: start with `bailie up`\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_without_any_cluster_it_says_what_to_do(tmp_path, monkeypatch, command):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BAILIE_STATE_DIR", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: there is no kubeconfig {tmp_path / 'config'}\n"
        "hint: start `bailie up`, or name a cluster's with --kubeconfig or KUBECONFIG\n"
    )


def test_down_says_when_nothing_runs(tmp_path):
    result = run("down", "--state-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "nothing runs" in result.stderr


def test_up_refuses_names_that_are_no_namespaces(tmp_path):
    result = run("up", "--namespaces", "Not_A_Name", "--state-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "Not_A_Name" in result.stderr


def test_up_refuses_a_state_directory_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    result = run("up", "--no-default-servers", "--state-dir", str(path))
    assert result.exit_code == 1
    assert str(path) in result.stderr


def test_up_names_a_missing_inference_server(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "bailie", "up", "--detach", "--state-dir", str(tmp_path / "state")],
        env={"BAILIE_MLSERVER_ENV": str(tmp_path / "nowhere"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert f"MLServer is not installed at {tmp_path / 'nowhere'}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("infer", "iris", "{bad"), None, "the request is not JSON"),
        (("infer", "iris", "[]"), None, "must be a JSON object"),
        (("infer", "iris", "{}", "-f", "x.json"), None, "not both"),
        (("infer", "iris", "-f", "/no/such/file"), None, "cannot be read"),
        (("infer", "iris", "-"), "nonsense", "the request is not JSON"),
        (("infer", "iris"), "", "no request"),
        (("infer", "iris", " "), None, "no request"),
        (("infer", "iris", "{}", "--header", "x"), None, "is not KEY=VALUE"),
        (("infer", "iris", "{}", "--header", "x=ü"), None, "only printable ASCII"),
        (("infer", "iris", "{}", "--header", "a b=c"), None, "only printable ASCII"),
        (("infer", "ïris", "{}"), None, "cannot be a model's name"),
        (("infer", "", "{}"), None, "cannot be a model's name"),
        (("infer", "iris", "-"), b"\x80\x04", "standard input is not text"),
        (("infer", "iris", "{}", "--inference-host", "nonsense::"), None, "is not an address"),
        (("infer", "iris", "{}", "--timeout", "nan"), None, "--timeout"),
    ],
)
def test_infer_says_what_is_wrong_with_the_request(arguments, stdin, message):
    result = run(*arguments, stdin=stdin)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


def test_infer_says_when_nobody_answers():
    result = run("infer", "iris", '{"inputs": []}', "--inference-host", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in result.stderr


def test_infer_says_when_nobody_answers_over_grpc():
    request = '{"inputs": []}'
    result = run("infer", "iris", request, "--inference-host", "127.0.0.1:1", "--mode", "grpc")
    assert result.exit_code == 1
    assert "127.0.0.1:1 does not answer" in result.stderr


class AnswersOnce(http.server.BaseHTTPRequestHandler):
    """Answers its server's first request, and breaks off all others."""

    def do_POST(self):
        self.close_connection = True
        if not self.server.answered:
            self.server.answered = True
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def test_infer_counts_the_requests_that_nobody_answers():
    with http.server.HTTPServer(("127.0.0.1", 0), AnswersOnce) as server:
        server.answered = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        result = run("infer", "iris", '{"inputs": []}', "-i", "3", "--inference-host", host)
        server.shutdown()
    assert result.exit_code == 1, result.output
    assert result.stdout == "success: 1 answered\nfailed: 2 unanswered\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": "no"}, "no"),
        ({"error": {"message": "no"}}, "no"),
        ({"detail": [{"loc": ["body", "inputs"], "msg": "Field required"}]}, "body.inputs: Field required"),
        ({"detail": [{"loc": ["body"], "msg": "a"}, {"msg": "b"}, "c"]}, "body: a; : b"),
        ({"detail": "no list"}, ""),
        ([], ""),
    ],
)
def test_the_reason_of_an_answer_is_found(body, reason):
    assert reason_of(body) == reason


@pytest.mark.parametrize("name", ["", " ", "..", "a/b"])
@pytest.mark.parametrize("command", [("get", "model"), ("delete", "model"), ("explain", "model"), ("logs",)])
def test_what_would_be_another_path_of_the_api_is_no_name(command, name):
    result = run(*command, name)
    assert result.exit_code == 2
    assert "cannot be a name" in " ".join(result.stderr.split())


def test_what_is_no_namespace_is_refused():
    result = run("get", "models", "-n", "a/b")
    assert result.exit_code == 2
    assert "DNS label" in result.stderr


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("crds | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("crds > /dev/full", 1, "error: the output: No space left on device\n"),
        ("version > /dev/full", 1, "error: the output: No space left on device\n"),
        ("agent -h > /dev/null", 0, ""),
    ],
)
def test_output_that_goes_nowhere_leaves_no_traceback(command, code, said):
    script = f"{sys.executable} -m bailie {command}"
    result = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (code, said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no object"),
        ("a: [", "line 1: not YAML that can be used: expected the node content"),
        ("\0", "not YAML that can be used"),
        ("- 1", "not a Kubernetes object"),
        ("apiVersion: v1\nkind: Secret\nmetadata: 5", "line 1: not a Kubernetes object"),
        ("kind: Model\nmetadata: {name: x}", "it needs apiVersion, kind and metadata.name"),
        ("apiVersion: v1\nkind: List\nitems: 5", "line 1: not a Kubernetes object"),
        ("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}", "not a kind that Bailie uses"),
        (
            "apiVersion: mlops.seldon.io/v1alpha1\nkind: Model\nmetadata: {name: x}\nspec: {memory: lots}",
            "spec.storageUri",
        ),
    ],
)
def test_apply_validates_everything_before_it_sends_anything(tmp_path, text, message):
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    result = run("apply", "-f", str(path))
    assert result.exit_code == 2
    assert message in result.stderr


def test_apply_refuses_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(b"\x80\x04")
    result = run("apply", "-f", str(path))
    assert result.exit_code == 2
    assert f"{path} is not text" in result.stderr


def test_what_was_read_can_be_applied_again():
    spec, kept = {"storageUri": "s3://a/b"}, {"name": "iris", "namespace": "team-a", "labels": {"a": "b"}}
    read = {
        "kind": "Model",
        "metadata": {
            **kept,
            "uid": "1",
            "resourceVersion": "2",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [],
        },
        "spec": spec,
        "status": {"replicas": 1},
    }
    assert stated(read) == {"kind": "Model", "metadata": kept, "spec": spec}


def test_what_a_person_wrote_is_applied_as_it_stands():
    written = {"kind": "Model", "metadata": {"name": "iris", "resourceVersion": "2"}, "status": {}}
    assert stated(written) == written


def test_get_names_the_kinds_that_it_knows():
    result = run("get", "unicorns")
    assert result.exit_code == 2
    assert "models" in result.stderr


def test_a_process_says_what_its_environment_lacks():
    for process in ("operator", "scheduler", "agent", "envoy"):
        result = subprocess.run(
            [sys.executable, "-m", "bailie", process],
            env={"PATH": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 1, (process, result.stderr)
        assert "POD_N" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--namespaces", ""), "name at least one namespace"),
        (("--state-dir", ""), "is blank"),
        (("--state-dir", "~nobody-of-this-name/bailie"), "nobody here has that home"),
        (("--log-level", "silly"), "silly"),
        (("--timeout", "-5"), "--timeout"),
    ],
)
def test_up_refuses_options_that_mean_nothing(arguments, message):
    result = run("up", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_every_exit_code_has_a_meaning():
    assert set(MEANINGS) == set(ExitCode)


def test_the_table_of_the_demo_can_be_read_where_no_terminal_is(capsys):
    row = Row("both answer while a scheduler is killed", held=True, detail="4000 requests, no failure " * 9)
    _print_rows([row, row])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert len(lines) > 4


def test_paths_that_are_printed_hold_in_any_folder(tmp_path, monkeypatch):
    (tmp_path / "kubeconfig").touch()
    monkeypatch.chdir(tmp_path.parent)
    assert run("kubeconfig", "--state-dir", tmp_path.name).stdout.strip() == str(tmp_path / "kubeconfig")
