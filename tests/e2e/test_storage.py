"""What a Model's status says of a storageUri that is refused, and by whom: nothing hostile is fetched."""

import json
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import SYSTEM, until

pytestmark = pytest.mark.e2e

REFUSED = {
    "a remote in the address": (":local:/etc", "StorageUriRefused", "names no remote"),
    "an option": ("--log-file=x:y", "StorageUriRefused", "is an option"),
    "a way up": ("/tmp/../etc", "StorageUriRefused", "steps up"),
    "the machine's settings": ("file:///etc/ssl", "StorageUriRefused", "is in no folder"),
    "the kernel": ("file:///proc/self/environ", "StorageUriRefused", "is in no folder"),
    "the state folder": ("{state}/kubeconfig", "StorageUriRefused", "is in no folder"),
    "the Kubernetes API": ("{api}/version", "AddressRefused", "is the Kubernetes API"),
    "another pod": ("http://{envoy}:9003/stats", "AddressRefused", "is a loopback address"),
    "a metadata service": ("http://169.254.169.254/latest", "AddressRefused", "is a link-local address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_address_is_told_in_the_status(stack, model, case):
    uri, reason, words = REFUSED[case]
    envoy = stack.get("pod", "seldon-envoy-0")["status"]["podIP"]
    name = "refused-" + case.lower().replace(" ", "-").replace("'", "")
    model(name, storageUri=uri.format(state=stack.state, api=api(stack), envoy=envoy))
    found = until(
        lambda: (ready := stack.condition(name)).get("reason") == reason and ready,
        what=f"{name} with reason {reason} (last: {stack.condition(name)})",
    )
    assert (found["status"], words in found["message"]) == ("False", True), found


def api(stack):
    """The URL of the embedded API."""
    shown = json.loads(stack.kubectl("config", "view", "-o", "json", "-n", SYSTEM))
    url = shown["clusters"][0]["cluster"]["server"]
    assert urlsplit(url).hostname == "127.0.0.1"
    return url
