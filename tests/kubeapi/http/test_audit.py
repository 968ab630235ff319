from __future__ import annotations

import json
import stat

import httpx
from tests.support.api import running_api

PATH = "/api/v1/namespaces/a/configmaps"


def test_each_request_of_a_resource_leaves_a_line_with_who_and_what(tmp_path):
    path = tmp_path / "audit.jsonl"
    with running_api(tmp_path, audit_log=path) as api:
        api.namespace("a")
        token = api.service_account_token("a", "somebody")
        with api.http(token) as http:
            assert http.get(f"{PATH}/x").status_code == 403
            assert http.get("/api/v1").status_code == 200
        body = {"metadata": {"name": "x"}, "data": {"password": "told to nobody"}}
        api.request("POST", f"{PATH}?dryRun=All", json=body)
        api.request("POST", PATH, json=body)
        with api.http() as http, http.stream("GET", f"{PATH}?watch=true&timeoutSeconds=1") as response:
            assert response.status_code == 200
    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    shown = [(each["user"], each["verb"], each["resource"], each["code"]) for each in lines[1:]]
    assert shown == [
        ("system:serviceaccount:a:somebody", "get", "configmaps", 403),
        ("admin", "create", "configmaps", 201),
        ("admin", "create", "configmaps", 201),
        ("admin", "watch", "configmaps", 200),
    ]
    assert (lines[1]["namespace"], lines[1]["name"], bool(lines[1]["at"])) == ("a", "x", True)
    assert [each.get("dryRun", False) for each in lines[1:]] == [False, True, False, False]
    assert "told to nobody" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_path_nothing_is_written(tmp_path):
    with running_api(tmp_path) as api, api.http() as http:
        assert http.get(PATH).status_code == httpx.codes.OK
    assert not list(tmp_path.rglob("*.jsonl"))
