"""Patches of Seldon Core's container rclone, and claims from which agents take artifacts."""

from __future__ import annotations

import pytest
from tests.support.manifests import default_server_config, server

from bailie.manifests.artifact_volumes import agents_patches, patch_warnings
from bailie.manifests.checks import template_problems
from bailie.manifests.server import server_workload

BASE = {"containers": [{"name": "agent", "image": "bailie"}, {"name": "mlserver", "image": "m"}]}
MOUNT = {"name": "pvc", "mountPath": "/var/models"}
VOLUME = {"name": "pvc", "persistentVolumeClaim": {"claimName": "team-models"}}


def container(workload, name):
    return next(c for c in workload.template["spec"]["containers"] if c["name"] == name)


def variables(workload):
    return {each["name"]: each.get("value") for each in container(workload, "agent")["env"]}


def made(*containers, volumes=(VOLUME,)):
    spec = {"containers": list(containers), "volumes": list(volumes)}
    return server_workload(server(podSpec=spec), default_server_config())


def test_a_claim_mounted_in_rclone_is_mounted_in_the_agent_and_told_to_it():
    workload = made({"name": "rclone", "volumeMounts": [MOUNT]})
    assert template_problems(workload) == []
    assert [c["name"] for c in workload.template["spec"]["containers"]] == ["agent", "mlserver"]
    assert MOUNT in container(workload, "agent")["volumeMounts"]
    assert MOUNT not in container(workload, "mlserver")["volumeMounts"]
    assert variables(workload)["BAILIE_CLAIMS"] == "team-models:/var/models"


def test_what_the_agent_itself_is_given_goes_before():
    workload = made(
        {"name": "rclone", "env": [{"name": "A", "value": "r"}, {"name": "B", "value": "r"}]},
        {"name": "agent", "env": [{"name": "B", "value": "a"}]},
    )
    assert (variables(workload)["A"], variables(workload)["B"]) == ("r", "a")


def test_resources_of_rclone_are_the_agents():
    workload = made({"name": "rclone", "resources": {"limits": {"memory": "512Mi"}}})
    assert container(workload, "agent")["resources"]["limits"] == {"memory": "512Mi"}


@pytest.mark.parametrize(
    ("mounts", "told"),
    [
        ([{**MOUNT, "subPath": "in/"}], "team-models/in:/var/models"),
        ([MOUNT, {**MOUNT, "mountPath": "/b"}], "team-models:/var/models:team-models:/b"),
        ([{**MOUNT, "subPathExpr": "$(X)"}], None),
        ([{**MOUNT, "subPath": "a:b"}], None),
        ([], None),
    ],
)
def test_which_mounts_are_told(mounts, told):
    assert variables(made({"name": "agent", "volumeMounts": mounts})).get("BAILIE_CLAIMS") == told


def test_other_volumes_and_other_containers_are_no_places_of_artifacts():
    secret = {"name": "pvc", "secret": {"secretName": "keys"}}
    assert "BAILIE_CLAIMS" not in variables(
        made({"name": "agent", "volumeMounts": [MOUNT]}, volumes=[secret])
    )
    assert "BAILIE_CLAIMS" not in variables(made({"name": "mlserver", "volumeMounts": [MOUNT]}))


def test_a_configuration_with_an_rclone_of_its_own_is_patched_as_it_is():
    base = {"containers": [*BASE["containers"], {"name": "rclone", "image": "r"}]}
    override = {"containers": [{"name": "rclone", "image": "mine"}]}
    assert agents_patches(override, base) is override
    assert list(patch_warnings(override, base)) == []


@pytest.mark.parametrize("override", [None, {}, {"containers": []}, {"containers": [{"name": "agent"}]}])
def test_an_override_without_rclone_stays(override):
    assert agents_patches(override, BASE) == (override or {})
    assert list(patch_warnings(override, BASE)) == []


def test_what_the_agent_has_no_use_for_is_named():
    patch = {
        "name": "rclone",
        "image": "seldon-rclone:1",
        "ports": [],
        "volumeMounts": [MOUNT],
        "env": [{"name": "RCLONE_TRANSFERS", "value": "9"}, {"name": "HTTPS_PROXY", "value": "http://p"}],
    }
    paths = [each.path for each in patch_warnings({"containers": [patch]}, BASE)]
    assert paths == [
        f'spec.podSpec.containers["rclone"]{field}'
        for field in (".image", ".ports", '.env["RCLONE_TRANSFERS"]')
    ]


def test_nothing_is_changed_in_place():
    override = {"containers": [{"name": "rclone", "env": [{"name": "A", "value": "1"}]}]}
    agents_patches(override, BASE)["containers"][0]["env"].append({})
    assert override == {"containers": [{"name": "rclone", "env": [{"name": "A", "value": "1"}]}]}
