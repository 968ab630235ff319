"""Models' code gets no token of the API, whoever wrote the template and whenever."""

from __future__ import annotations

import pytest

from bailie.manifests.account import ACCOUNT_FOLDER, with_account
from bailie.workloads.node.tokens import holders

BARE = {
    "containers": [{"name": "agent", "image": "a"}, {"name": "mlserver", "image": "m"}, {"name": "rclone"}]
}
MOUNT = {"name": "mine", "mountPath": f"{ACCOUNT_FOLDER}/"}
OWN = {
    "containers": [{"name": "agent", "volumeMounts": [MOUNT]}, {"name": "mlserver"}],
    "volumes": [{"name": "mine", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
}
HOLDERS = {
    "a template for Seldon Core": (BARE, "seldon-server", {"agent"}),
    "a scheduler": (
        {"containers": [{"name": "scheduler"}, {"name": "x"}]}, "seldon-scheduler", {"scheduler"},
    ),
    "an Envoy calls no API": ({"containers": [{"name": "envoy"}]}, "seldon-envoy", set()),
    "no agent at all": ({"containers": [{"name": "mlserver"}]}, "seldon-server", set()),
    "a volume of one's own": (OWN, "seldon-server", {"agent"}),
    "stated: everybody": (
        {**BARE, "automountServiceAccountToken": True}, "seldon-server", {"agent", "mlserver", "rclone"},
    ),
    "stated: nobody": ({**BARE, "automountServiceAccountToken": False}, "seldon-server", set()),
}  # fmt: skip


@pytest.mark.parametrize(("pod", "component", "expected"), HOLDERS.values(), ids=HOLDERS)
def test_who_gets_the_token(pod, component, expected):
    made = with_account(pod, component)
    assert made["serviceAccountName"] == component
    assert holders({"spec": made}) == expected


def test_a_template_with_a_volume_is_left_alone():
    made = with_account(OWN, "seldon-server")
    assert (made["containers"], made["volumes"]) == (OWN["containers"], OWN["volumes"])


def test_an_account_that_is_stated_stays():
    assert with_account({"serviceAccountName": "mine"}, "seldon-server")["serviceAccountName"] == "mine"
    assert "serviceAccountName" not in with_account({"serviceAccount": "mine"}, "seldon-server")
