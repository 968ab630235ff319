"""Which rclone remotes a Secret or the configuration may define: types, parameters, and their hosts.

`remotes` calls `problem_of` when it reads a definition. Only listed types and parameters are allowed: rclone
has remotes that run programs, read this machine's files, or take the identity of its surroundings, and each
release adds new ones. Every type here speaks HTTP by rclone's own client, and so by our proxy (`egress`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bailie.api.texts import shown
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_VALUE = 64 * 1024
"""Characters of one parameter: a service account's JSON has two or three thousand."""
IDENTITY = "env_auth"
"""The parameter that asks for the identity of the agent's own surroundings."""
_SERVICE_ACCOUNT = "service_account_credentials"


@dataclass(frozen=True, slots=True)
class RemoteType:
    """One type of remote: its parameters, and those of them that name hosts, as URLs or `host[:port]`."""

    parameters: frozenset[str]
    addresses: frozenset[str]


def _backend(parameters: str, addresses: str) -> RemoteType:
    return RemoteType(
        frozenset(f"{parameters} {addresses} description".split()), frozenset(addresses.split())
    )


BACKENDS: Mapping[str, RemoteType] = {
    "s3": _backend(
        "provider env_auth access_key_id secret_access_key session_token region location_constraint acl "
        "bucket_acl storage_class server_side_encryption requester_pays sse_customer_algorithm "
        "sse_customer_key sse_customer_key_base64 sse_customer_key_md5 sse_kms_key_id force_path_style "
        "v2_auth use_accelerate_endpoint use_dual_stack use_arn_region list_chunk list_version "
        "list_url_encode no_check_bucket no_head no_head_object disable_http2 disable_checksum decompress "
        "might_gzip use_accept_encoding_gzip use_unsigned_payload use_data_integrity_protections "
        "sign_accept_encoding use_x_id versions version_at directory_bucket directory_markers chunk_size "
        "upload_cutoff upload_concurrency",
        "endpoint download_url",
    ),
    "google cloud storage": _backend(
        "env_auth anonymous service_account_credentials client_id client_secret token access_token "
        "project_number user_project object_acl bucket_acl bucket_policy_only location storage_class "
        "no_check_bucket decompress directory_markers",
        "endpoint",
    ),
    "azureblob": _backend(
        "env_auth account key tenant client_id client_secret access_tier public_access list_chunk "
        "no_check_container no_head_object decompress directory_markers",
        "endpoint sas_url",
    ),
    "b2": _backend("account key versions version_at hard_delete", "endpoint download_url"),
    "swift": _backend(
        "env_auth user key user_id domain tenant tenant_id tenant_domain region auth_token auth_version "
        "endpoint_type application_credential_id application_credential_name application_credential_secret "
        "no_large_objects fetch_until_empty_page",
        "auth storage_url",
    ),
    "http": _backend("no_escape no_head no_slash", "url"),
    "webdav": _backend("vendor user pass bearer_token pacer_min_sleep", "url"),
}
_OTHER_NAMES = {"gcs": "google cloud storage"}
_WEBDAV_VENDORS = {"", "other", "nextcloud", "owncloud", "infinitescale", "fastmail", "rclone"}
"""Vendors with WebDAV's own login; SharePoint has a client of its own."""


def problem_of(kind: str, parameters: Mapping[str, str], *, identity: bool) -> str | None:
    """Returns why a remote is refused, as the end of a sentence without any value; None when it is not.

    `identity` says whether the administrator lets remotes use the agent's cloud identity.
    """
    backend = BACKENDS.get(canonical(kind))
    if backend is None:
        return f"has the type {shown(kind, 40)}, which is not allowed; allowed are {', '.join(BACKENDS)}"
    for name, value in parameters.items():
        if name not in backend.parameters:
            return f"has the parameter {shown(name, 60)}, which is not allowed for type {canonical(kind)}"
        if len(value) > LONGEST_VALUE or "\0" in value:
            return f"has a value of {name} that is longer than {LONGEST_VALUE} characters or no text"
    return (
        _identity_problem(parameters, backend, identity=identity)
        or _value_problem(parameters)
        or _address_problem(parameters, backend)
    )


def canonical(kind: str) -> str:
    """Returns the name under which the table has a type."""
    return _OTHER_NAMES.get(kind, kind)


def hosts_of(kind: str, parameters: Mapping[str, str]) -> frozenset[tuple[str, int]]:
    """Returns the hosts that the parameters name, each with its port."""
    backend = BACKENDS.get(canonical(kind))
    named = (parameters.get(name, "") for name in (backend.addresses if backend else ()))
    return frozenset(found for value in named if value and (found := _host(value)))


def _identity_problem(parameters: Mapping[str, str], backend: RemoteType, *, identity: bool) -> str | None:
    if parameters.get(IDENTITY, "").lower() in {"", "false", "0", "f"}:
        return None
    if not identity:
        return (
            f"asks for the agent's own identity ({IDENTITY}), which the administrator does not allow "
            f"({variables.CLOUD_IDENTITY} of the agent)"
        )
    named = sorted(name for name in backend.addresses if parameters.get(name))
    if named:
        return (
            f"has {IDENTITY} together with {named[0]}: the agent's identity would go to a host of its choice"
        )
    return None


def _value_problem(parameters: Mapping[str, str]) -> str | None:
    if parameters.get("vendor", "") not in _WEBDAV_VENDORS:
        return f"has a vendor that is not allowed; allowed are {', '.join(sorted(_WEBDAV_VENDORS - {''}))}"
    account = parameters.get(_SERVICE_ACCOUNT)
    if account and not _is_service_account(account):
        return f"has {_SERVICE_ACCOUNT} that are no JSON of type service_account"
    return None


def _is_service_account(text: str) -> bool:
    """Says whether credentials are a service account's key: Google's other types name files, programs and
    addresses."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("type") == "service_account"


def _address_problem(parameters: Mapping[str, str], backend: RemoteType) -> str | None:
    for name in sorted(backend.addresses):
        value = parameters.get(name)
        if value and _host(value) is None:
            return f"has a value of {name} that is no http or https address"
    return None


def _host(value: str) -> tuple[str, int] | None:
    """Splits `https://host:port/…` or `host:port`; None for anything else."""
    scheme, separator, _ = value.partition("://")
    text = value if separator else f"https://{value}"
    if separator and scheme.lower() not in {"http", "https"}:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    usable = parts.hostname and text.isprintable() and " " not in text and "\\" not in text
    return (parts.hostname or "", port) if usable else None
