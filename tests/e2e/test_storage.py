"""What a Model's status says of a storageUri that is refused, and by whom: nothing hostile is fetched."""

import json
import shutil
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


@pytest.fixture
def remotes(stack):
    """Has the namespace's runtime name Secrets with remotes."""

    def name(*secrets):
        body = {"spec": {"config": {"agentConfig": {"rclone": {"config_secrets": list(secrets)}}}}}
        stack.kubectl(
            "patch", "seldonruntime", "seldon", "-n", SYSTEM, "--type=merge", "-p", json.dumps(body)
        )

    yield name
    name()


@pytest.fixture
def secret(stack):
    """Writes Secrets and deletes them afterwards."""
    made = set()

    def write(name, **values):
        stack.kubectl("delete", "secret", name, "-n", SYSTEM, "--ignore-not-found")
        metadata = {"name": name, "namespace": SYSTEM}
        stack.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})
        made.add(name)

    yield write
    for name in made:
        stack.kubectl("delete", "secret", name, "-n", SYSTEM, "--ignore-not-found")


def runtime_condition(stack, kind):
    """A condition of the namespace's SeldonRuntime, or an empty dict."""
    conditions = stack.get("seldonruntime", "seldon")["status"]["conditions"]
    return next((each for each in conditions if each["type"] == kind), {})


def test_remotes_that_cannot_be_used_are_told_everywhere_and_used_once_corrected(
    stack, model, models, remotes, secret, object_store
):
    shutil.copytree(models.folder / "iris", object_store.folder / "models" / "of-a-team")
    secret(
        "team-s3",
        RCLONE_CONFIG_S3_TYPE="s3",
        RCLONE_CONFIG_S3_PROVIDER="minio",
        RCLONE_CONFIG_S3_ENDPOINT="x",
    )
    remotes("team-s3", "absent")
    causes = (
        "Secret team-s3 has 3 data keys; it needs exactly one, with one rclone remote",
        f"there is no Secret absent in namespace {SYSTEM}",
    )
    until(
        lambda: all(each in runtime_condition(stack, "RemotesUsable").get("message", "") for each in causes),
        what="the condition of the runtime",
    )
    model("from-team-s3", storageUri="s3://models/of-a-team")
    until(
        lambda: (
            (found := stack.condition("from-team-s3")).get("reason") == "RemoteUnknown"
            and all(each in found["message"] for each in causes)
        ),
        what="the causes in the Model's condition",
    )
    secret("team-s3", s3=json.dumps(object_store.remote("s3")))
    stack.wait_ready("from-team-s3")
    secret("absent", other=json.dumps(object_store.remote("other")))
    until(
        lambda: runtime_condition(stack, "RemotesUsable").get("status") == "True",
        what="the runtime's condition, when all remotes can be used",
    )
    assert stack.infer(models.expected["iris"], model="from-team-s3").status_code == 200


def test_a_claim_mounted_for_seldon_cores_rclone_serves_models(stack, model, models):
    volume = {"name": "models-pvc", "persistentVolumeClaim": {"claimName": "team-models"}}
    mount = {"name": "models-pvc", "mountPath": "/var/models"}
    pod = {"volumes": [volume], "containers": [{"name": "rclone", "volumeMounts": [mount]}]}
    metadata = {"name": "mlserver-pvc", "namespace": SYSTEM}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    stack.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {**metadata, "name": "team-models"},
            "spec": claim,
        }
    )
    shutil.copytree(
        models.folder / "iris",
        stack.state / "node" / "claims" / SYSTEM / "team-models" / "iris",
        dirs_exist_ok=True,
    )
    spec = {"serverConfig": "mlserver", "extraCapabilities": ["pvc"], "podSpec": pod}
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
    stack.apply({**kind, "metadata": metadata, "spec": spec})
    try:
        model("claimed", storageUri="pvc://team-models/iris", requirements=["sklearn", "pvc"])
        stack.wait_ready("claimed")
        assert stack.infer(models.expected["iris"], model="claimed").status_code == 200
        assert stack.get("model", "claimed")["status"]["artifactPath"] == "model.joblib"
        model("unclaimed", storageUri="pvc://team-models/iris", server="mlserver")
        found = until(
            lambda: (ready := stack.condition("unclaimed")).get("reason") == "ClaimNotMounted" and ready,
            what="the missing claim in the condition",
        )
        assert "mount the claim in the container agent of a Server" in found["message"]
    finally:
        stack.kubectl("delete", "server", "mlserver-pvc", "-n", SYSTEM, "--timeout=60s")
