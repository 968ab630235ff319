"""Which remotes may be defined: what runs programs, reads files or takes identities is not on the list."""

from __future__ import annotations

import json
import subprocess

import pytest

from bailie.agent.rclone import binary
from bailie.agent.remote_types import BACKENDS, LONGEST_VALUE, hosts_of, problem_of

USABLE = {
    "MinIO": ("s3", {"provider": "Minio", "endpoint": "http://minio.store:9000", "env_auth": "false"}),
    "AWS": ("s3", {"provider": "AWS", "access_key_id": "a", "secret_access_key": "b", "region": "eu-west-1"}),
    "Google": ("gcs", {"service_account_credentials": json.dumps({"type": "service_account"})}),
    "public Google": ("google cloud storage", {"anonymous": "true"}),
    "Azure": ("azureblob", {"account": "a", "key": "b"}),
    "Nextcloud": ("webdav", {"url": "https://cloud.example.org/dav", "vendor": "nextcloud"}),
    "a web server": ("http", {"url": "https://example.org/models/"}),
}


@pytest.mark.parametrize("case", USABLE)
def test_usual_remotes(case: str):
    assert problem_of(*USABLE[case], identity=False) is None


FORBIDDEN_TYPES = [
    "", "alias", "archive", "cache", "chunker", "combine", "compress", "crypt", "hasher", "local", "memory",
    "union",    "sftp", "ftp", "smb", "hdfs", "drive", "S3", "s3 ", "s3,x=y", "unknown\x1b",
]  # fmt: skip
FORBIDDEN = {
    "a program for the token": ("webdav", {"bearer_token_command": "id"}),
    "a program for the token, in capitals": ("webdav", {"BEARER_TOKEN_COMMAND": "id"}),
    "a socket": ("webdav", {"url": "http://x", "unix_socket": "/run/x"}),
    "headers": ("http", {"url": "http://x", "headers": "Metadata-Flavor,Google"}),
    "credentials kept over redirects": ("webdav", {"url": "http://x", "auth_redirect": "true"}),
    "a vendor with a client of its own": ("webdav", {"url": "http://x", "vendor": "sharepoint"}),
    "a file of keys": ("google cloud storage", {"service_account_file": "/etc/passwd"}),
    "a file of credentials": ("s3", {"shared_credentials_file": "/etc/passwd"}),
    "a profile": ("s3", {"profile": "default"}),
    "a role": ("s3", {"role_arn": "arn:x"}),
    "another token service": ("s3", {"sts_endpoint": "http://x"}),
    "another OAuth service": ("google cloud storage", {"token_url": "http://x"}),
    "the az program": ("azureblob", {"use_az": "true"}),
    "a managed identity": ("azureblob", {"use_msi": "true"}),
    "a file of a principal": ("azureblob", {"service_principal_file": "/x"}),
    "a certificate's file": ("azureblob", {"client_certificate_path": "/x"}),
    "an emulator on loopback": ("azureblob", {"use_emulator": "true"}),
    "a connection string": ("azureblob", {"connection_string": "BlobEndpoint=http://127.0.0.1"}),
    "the pod's identity": ("s3", {"env_auth": "true"}),
    "the pod's identity, in other words": ("s3", {"env_auth": "1"}),
    "a name with an equals sign": ("s3", {"region=x\nRCLONE_RC": "true"}),
    "a name that is none": ("s3", {"": "x"}),
    "a value with NUL": ("s3", {"region": "a\0b"}),
    "a value without end": ("s3", {"region": "a" * (LONGEST_VALUE + 1)}),
    "an endpoint that is a file": ("s3", {"endpoint": "file:///etc"}),
    "an endpoint that is a socket": ("s3", {"endpoint": "unix:///run/x"}),
    "an endpoint without a host": ("s3", {"endpoint": "http:///x"}),
    "an endpoint with a line break": ("s3", {"endpoint": "http://x\ny"}),
    "an endpoint with a backslash": ("s3", {"endpoint": "http://x\\@127.0.0.1"}),
    "an endpoint with a port that is none": ("s3", {"endpoint": "http://x:y"}),
    "credentials of another kind": (
        "google cloud storage",
        {"service_account_credentials": '{"type": "external_account", "credential_source": {"file": "/x"}}'},
    ),
    "credentials that are no JSON": ("google cloud storage", {"service_account_credentials": "[" * 50_000}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORBIDDEN_TYPES)
def test_forbidden_types(kind: str):
    problem = problem_of(kind, {"url": "http://x"}, identity=True)
    assert problem is not None
    assert "which is not allowed; allowed are s3" in problem
    assert problem.isprintable()


@pytest.mark.parametrize("case", FORBIDDEN)
def test_forbidden_parameters(case: str):
    problem = problem_of(*FORBIDDEN[case], identity=False)
    assert problem is not None
    assert problem.isprintable()
    assert "/etc/passwd" not in problem


def test_the_pods_identity_needs_the_administrator_and_goes_to_no_host_of_a_secret():
    assert problem_of("s3", {"env_auth": "true"}, identity=True) is None
    with_host = {"env_auth": "true", "endpoint": "https://collect.example.org"}
    assert "together with endpoint" in str(problem_of("s3", with_host, identity=True))


def test_hosts_are_found_in_every_form():
    assert hosts_of("s3", {"endpoint": "minio:9000"}) == {("minio", 9000)}
    assert hosts_of("s3", {"endpoint": "https://[::1]/x"}) == {("::1", 443)}
    assert hosts_of("swift", {"auth": "http://a/v3", "storage_url": "http://b:8/v1"}) == {("a", 80), ("b", 8)}
    assert hosts_of("alias", {"remote": "/"}) == frozenset()


def test_the_table_has_nothing_that_rclone_does_not_have_and_nothing_that_names_a_file_or_a_program():
    listed = json.loads(
        subprocess.run([binary(), "config", "providers"], capture_output=True, check=True).stdout
    )
    known = {each["Name"]: {option["Name"] for option in each["Options"]} for each in listed}
    for kind, backend in BACKENDS.items():
        assert backend.parameters <= known[kind]
        suspect = ("command", "cmd", "file", "socket", "header", "proxy", "profile", "ssh")
        assert not [name for name in backend.parameters if any(word in name.split("_") for word in suspect)]
