"""The Kubernetes API under contract: the embedded server, or the cluster of `BAILIE_TEST_KUBECONFIG`.

`Cluster` is all that the contract tests know of it: HTTP as the administrator or somebody else, and kubectl.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = "/apis/mlops.seldon.io/v1alpha1/namespaces/{}/models"
EXPERIMENTS = "/apis/mlops.seldon.io/v1alpha1/namespaces/{}/experiments"
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}"
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def model(name: str = "iris", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A Model manifest."""
    metadata: dict[str, Any] = {"name": name} | ({"labels": labels} if labels else {})
    body = {"storageUri": "gs://bucket/iris", **spec}
    return {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Model", "metadata": metadata, "spec": body}


def config_map(name: str = "settings", **metadata: Any) -> dict[str, Any]:
    """A ConfigMap manifest."""
    meta = {"name": name, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}


@dataclass
class Result:
    """What a kubectl call gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Kubectl:
    """One kubectl binary, unmodified, with one kubeconfig."""

    binary: str
    kubeconfig: Path
    namespace: str = ""
    home: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    def command(self, *arguments: str) -> list[str]:
        scope = ["--namespace", self.namespace] if self.namespace else []
        return [self.binary, "--kubeconfig", str(self.kubeconfig), *scope, *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "GOGC") if name in os.environ}  # noqa: TID251
        return {**kept, "HOME": str(self.home), **more}

    def run(self, *arguments: str, stdin: Any = None, **environment: str) -> Result:
        """Runs a command; `stdin` is text, or an object that is written as YAML."""
        text = stdin if isinstance(stdin, str | None) else yaml.safe_dump(stdin)
        done = subprocess.run(
            self.command(*arguments),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment(**environment),
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: Any = None, **environment: str) -> str:
        """The output of a command that must succeed."""
        result = self.run(*arguments, stdin=stdin, **environment)
        assert result.code == 0, f"kubectl {' '.join(arguments)}: {result.err}{result.out}"
        return result.out

    def fails(self, *arguments: str, stdin: Any = None, **environment: str) -> str:
        """The error output of a command that must fail."""
        result = self.run(*arguments, stdin=stdin, **environment)
        assert result.code != 0, f"kubectl {' '.join(arguments)} succeeded: {result.out}"
        return result.err

    @contextmanager
    def streaming(self, *arguments: str, stderr: bool = False) -> Iterator[subprocess.Popen[str]]:
        """A command that runs on, such as `get -w`; ended at the end of the block."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if stderr else None,
            text=True,
            env=self.environment(),
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


@dataclass
class Cluster:
    """A Kubernetes API and its administrator; `controllers`: whether somebody collects garbage there."""

    kubeconfig: Path
    embedded: bool
    controllers: bool = True
    log_dir: Path | None = None
    _clients: list[httpx.Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._config = yaml.safe_load(self.kubeconfig.read_text())
        name = self._config["current-context"]
        context = _named(self._config["contexts"], name)["context"]
        self._server = _named(self._config["clusters"], context["cluster"])["cluster"]
        self._user = _named(self._config["users"], context["user"])["user"]
        self.http = self._client(self._user)

    def as_token(self, token: str) -> httpx.Client:
        """Plain HTTP with another token."""
        return self._client({"token": token})

    def as_nobody(self) -> httpx.Client:
        """Plain HTTP without any credentials."""
        return self._client({})

    def _client(self, user: dict[str, Any]) -> httpx.Client:
        headers = {"content-type": "application/json"}
        token = user.get("token")
        if not token and user.get("tokenFile"):
            token = Path(user["tokenFile"]).read_text().strip()
        if token:
            headers["authorization"] = f"Bearer {token}"
        client = httpx.Client(
            base_url=self._server["server"], verify=self._tls(user), headers=headers, timeout=30
        )
        self._clients.append(client)
        return client

    def _tls(self, user: dict[str, Any]) -> ssl.SSLContext:
        ca = _content(self._server, "certificate-authority")
        context = ssl.create_default_context(cadata=ca.decode() if ca else None)
        if self._server.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def kubeconfig_for(self, token: str, path: Path) -> Path:
        """A kubeconfig for somebody else."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": self._server}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a ServiceAccount, by TokenRequest."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["status"]["token"])

    def close(self) -> None:
        for client in self._clients:
            client.close()


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _content(entry: dict[str, Any], key: str) -> bytes | None:
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    return Path(entry[key]).read_bytes() if entry.get(key) else None


@functools.cache
def kubectl_binaries() -> dict[str, str]:
    """The kubectl programs on this machine, by version: the one of the environment and the system's."""
    here = Path(sys.executable).parent / "kubectl"
    found = [str(here)] if here.exists() else []
    for folder in (os.environ.get("PATH") or "").split(os.pathsep):  # noqa: TID251
        path = shutil.which("kubectl", path=folder)
        if path and not Path(path).samefile(here) and path not in found:
            found.append(path)
    versions: dict[str, str] = {}
    for binary in found:
        done = subprocess.run([binary, "version", "--client", "-o", "json"], capture_output=True, check=False)
        if done.returncode == 0:
            version = json.loads(done.stdout)["clientVersion"]
            versions.setdefault(f"{version['major']}.{version['minor']}", binary)
    return versions
