"""The grammar of `storageUri`: an address of an artifact, and never anything else.

Called by `model` before anything is placed, and by the agent again before it fetches, for it trusts no other
process. A text that is no address is a StorageUriRefused; no rule here looks at a disk or a network.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

from bailie.api.names import is_dns_subdomain
from bailie.api.texts import shown

LONGEST_URI = 2048
"""Characters of a storageUri; S3 keys have at most 1024 bytes."""
REFUSED = "StorageUriRefused"
"""Reason of the Problem, the condition and the agent's error."""
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)
_FORMS = (
    "/folder, file:///folder, pvc://claim/path, https://host/file, or <remote>:path such as gs://bucket/path"
)


class StorageUriRefused(ValueError):  # noqa: N818 - a verdict on what a user wrote
    """The text is no address of an artifact; the message says why and what to write, with the text in it."""


@dataclass(frozen=True, slots=True)
class LocalPath:
    """An absolute path on the machine of the agent, without `..`."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """A file on a public web server. `host` is a name or an address without brackets, `path` is decoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """The URL of the server, with a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/"


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A path on a remote that a Secret or the configuration defines. `path` has no slash in front."""

    remote: str
    path: str


@dataclass(frozen=True, slots=True)
class ClaimPath:
    """A path in a volume claim that is mounted in the server's pod. `path` has no slash in front."""

    claim: str
    path: str


StorageAddress = LocalPath | WebAddress | RemotePath | ClaimPath


def parse_storage_uri(uri: str) -> StorageAddress:
    """Returns the place that a storageUri names. Raises StorageUriRefused."""
    if len(uri) > LONGEST_URI:
        raise StorageUriRefused(f"{shown(uri)} has more than {LONGEST_URI} characters")
    _refuse_unprintable(uri, uri)
    if uri != uri.strip():
        raise StorageUriRefused(f"{shown(uri)} has blanks around it; remove them")
    if uri.startswith("-"):
        raise StorageUriRefused(f"{shown(uri)} is an option and no address; write {_FORMS}")
    if uri.startswith("/"):
        return _local(uri, uri)
    name, colon, rest = uri.partition(":")
    if not colon or "/" in name:
        raise StorageUriRefused(f"{shown(uri)} is neither an absolute path nor an address; write {_FORMS}")
    return _with_scheme(name, rest, uri)


def _with_scheme(name: str, rest: str, uri: str) -> StorageAddress:
    scheme = name.lower()
    if scheme == "file":
        return _file(rest, uri)
    if scheme in {"http", "https"}:
        return _web(scheme, rest, uri)
    if scheme == "pvc" and rest.startswith("//"):
        return _claim(rest[2:], uri)
    if scheme == "hf" and rest.startswith("//"):
        raise StorageUriRefused(
            f"{shown(uri)} names a Hugging Face repository, which cannot be fetched; copy its files into "
            "a bucket or a folder and name that"
        )
    if not _REMOTE.fullmatch(name):
        raise StorageUriRefused(
            f"{shown(uri)} names no remote: before the first colon stands a name of at most 63 letters, "
            'digits, "_", "-" and ".", and no type or parameter of a remote'
        )
    path = rest.lstrip("/")
    _refuse_steps_up(path, uri)
    return RemotePath(name, path)


def _file(rest: str, uri: str) -> LocalPath:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in {"", "localhost"}:
            raise StorageUriRefused(f"{shown(uri)} names the host {shown(host)}; write file:///folder")
        rest = slash + path
    decoded = _decoded(rest, uri)
    if not decoded.startswith("/"):
        raise StorageUriRefused(f"{shown(uri)} names no absolute path; write file:///folder")
    return _local(decoded, uri)


def _claim(rest: str, uri: str) -> ClaimPath:
    claim, _, path = rest.partition("/")
    if not is_dns_subdomain(claim):
        raise StorageUriRefused(f"{shown(uri)} names no volume claim; write pvc://claim/path")
    _refuse_steps_up(path, uri)
    return ClaimPath(claim, path.strip("/"))


def _local(path: str, uri: str) -> LocalPath:
    _refuse_unprintable(path, uri)
    _refuse_steps_up(path, uri)
    return LocalPath("/" + path.strip("/"))


def _web(scheme: str, rest: str, uri: str) -> WebAddress:
    try:
        parts = urlsplit(f"{scheme}:{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise StorageUriRefused(f"{shown(uri)} is no URL: {shown(str(error))}") from None
    if not rest.startswith("//") or not _is_host(host):
        raise StorageUriRefused(f"{shown(uri)} names no host; write {scheme}://host/path")
    if "@" in parts.netloc:
        raise StorageUriRefused(
            f"{scheme}://…@{host} holds credentials, which every reader of the Model would see; "
            "put them into a Secret and name that in secretName"
        )
    if "?" in rest or "#" in rest:
        raise StorageUriRefused(f'{shown(uri)} has a "?" or "#", which is not sent; name a plain file')
    if port == 0:
        raise StorageUriRefused(f"{shown(uri)} names port 0; ports begin at 1")
    path = _decoded(parts.path, uri)
    _refuse_unprintable(path, uri)
    _refuse_steps_up(path, uri)
    default = 443 if scheme == "https" else 80
    return WebAddress(scheme=scheme, host=host, port=port or default, path=path.lstrip("/"))


def _decoded(text: str, uri: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise StorageUriRefused(f"{shown(uri)} is not UTF-8 behind its percent signs") from None


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _HOST.fullmatch(host) is not None
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _refuse_unprintable(text: str, uri: str) -> None:
    found = next((each for each in text if not each.isprintable()), None)
    if found is not None:
        raise StorageUriRefused(f"{shown(uri)} holds the character U+{ord(found):04X}, which no path needs")


def _refuse_steps_up(path: str, uri: str) -> None:
    if ".." in path.split("/"):
        raise StorageUriRefused(f'{shown(uri)} steps up with ".."; write where the artifact is')
