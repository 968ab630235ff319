"""The grammar of storageUri: a table of addresses, and everything else refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import manifest_of

from bailie.api.model import Model
from bailie.api.storage import (
    LONGEST_URI,
    ClaimPath,
    LocalPath,
    RemotePath,
    StorageUriRefused,
    WebAddress,
    parse_storage_uri,
)


def web(scheme: str, host: str, port: int, path: str) -> WebAddress:
    return WebAddress(scheme=scheme, host=host, port=port, path=path)


ADDRESSES = {
    "/a/b": LocalPath("/a/b"),
    "/a/b/": LocalPath("/a/b"),
    "/a:b": LocalPath("/a:b"),
    "/with blank/ü": LocalPath("/with blank/ü"),
    "/..a/b..": LocalPath("/..a/b.."),
    "file:///a/b%20c": LocalPath("/a/b c"),
    "file:///a?b#c": LocalPath("/a?b#c"),
    "file://localhost/a": LocalPath("/a"),
    "FILE:/a": LocalPath("/a"),
    "gs://bucket/p": RemotePath("gs", "bucket/p"),
    "s3:bucket": RemotePath("s3", "bucket"),
    "My-Store_1.eu:b/a,b=c:d": RemotePath("My-Store_1.eu", "b/a,b=c:d"),
    "store:////b/p": RemotePath("store", "b/p"),
    "store:-x": RemotePath("store", "-x"),
    "pvc://team-models/iris/1": ClaimPath("team-models", "iris/1"),
    "pvc://team-models": ClaimPath("team-models", ""),
    "PVC://team.models//iris/": ClaimPath("team.models", "iris"),
    "pvc:bucket/p": RemotePath("pvc", "bucket/p"),
    "https://host/p": web("https", "host", 443, "p"),
    "HTTP://Host:81/a%20b": web("http", "host", 81, "a b"),
    "http://[2001:db8::1]/": web("http", "2001:db8::1", 80, ""),
}


@pytest.mark.parametrize(("uri", "address"), ADDRESSES.items())
def test_addresses(uri: str, address: object):
    assert parse_storage_uri(uri) == address


REFUSED = {
    "": "neither an absolute path",
    "models/iris": "neither an absolute path",
    "./iris": "neither an absolute path",
    "-x": "is an option",
    "--config=/x:y": "is an option",
    ":local:/etc": "names no remote",
    ":sftp,ssh=/bin/sh:x": "names no remote",
    "gs,anonymous=false:b": "names no remote",
    "gs,x='a:b':c": "names no remote",
    "my store:b": "names no remote",
    "-gs:b": "is an option",
    "\uff47s:b": "names no remote",
    "a" * 64 + ":b": "names no remote",
    "://": "names no remote",
    "hf://org/model": "Hugging Face",
    "pvc://": "names no volume claim",
    "pvc:///iris": "names no volume claim",
    "pvc://Team_Models/iris": "names no volume claim",
    "pvc://team-models/../x": "steps up",
    "file://host/x": "names the host host",
    "file:x": "no absolute path",
    "file://": "no absolute path",
    "file:///a/%2e%2e/b": "steps up",
    "file:///a/%00": "U+0000",
    "file:///%ff": "not UTF-8",
    "/a/../b": "steps up",
    "/..": "steps up",
    "store:../b": "steps up",
    "store:a/..": "steps up",
    "http://h/%2E%2e/b": "steps up",
    "http:///x": "names no host",
    "http:h/x": "names no host",
    "http:\\\\h/x": "names no host",
    "http://user:pass@h/x": "credentials",
    "http://h?x": '"?" or "#"',
    "http://h/x#y": '"?" or "#"',
    "http://h:0/": "port 0",
    "http://h:99999/": "no URL",
    "http://[::1/x": "no URL",
    "http://[fe80::1%25lo]/": "names no host",
    "http://h h/": "names no host",
    " /a": "blanks around",
    "/a\n": "U+000A",
    "/a\x00": "U+0000",
    "/a\x1b[2J": "U+001B",
    "gs:b\u202ep": "U+202E",
    "/" + "a" * LONGEST_URI: "more than 2048 characters",
}


@pytest.mark.parametrize(("uri", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refusals_are_problems_of_the_model(uri: str, message: str):
    with pytest.raises(StorageUriRefused, match=re.escape(message)) as caught:
        parse_storage_uri(uri)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    model, problems = Model.parse(manifest_of("Model", "iris", {"storageUri": uri}))
    assert model is None
    assert [(p.path, p.reason) for p in problems] == [
        ("spec.storageUri", "StorageUriRefused" if uri else "Required")
    ]


WORDS = "/ // : .. %2e %2F , = ' - file http https gs hf @ ? # [ ] a B _ ssh localhost ::1 %00 %ff"
PIECES = st.sampled_from([*WORDS.split(), '"', "\\", "\0", "\n", " ", "\u00fc", "\u202e", "\ud800"])


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
def test_whatever_is_written_is_an_address_or_refused(uri: str):
    try:
        address = parse_storage_uri(uri)
    except StorageUriRefused:
        return
    assert not uri.startswith((":", "-"))
    path = address.path
    assert path.isprintable()
    assert ".." not in path.split("/")
    if isinstance(address, LocalPath):
        assert path.startswith("/")
    elif isinstance(address, RemotePath):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", address.remote)
        assert not path.startswith("/")
    else:
        assert re.fullmatch(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\]):[1-9][0-9]*/", address.origin)


NAMES = {
    "secretName": ({"secretName": "../configmaps/x"}, "spec.secretName"),
    "a name with a dot at its end": ({"secretName": "a."}, "spec.secretName"),
    "modelRef": ({"explainer": {"modelRef": "../../repository"}}, "spec.explainer.modelRef"),
    "pipelineRef": ({"llm": {"pipelineRef": "a?b"}}, "spec.llm.pipelineRef"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_become_parts_of_addresses(case: str):
    spec, path = NAMES[case]
    model, problems = Model.parse(manifest_of("Model", "iris", {"storageUri": "/x", **spec}))
    assert model is None
    assert [(p.path, p.reason) for p in problems] == [(path, "Invalid")]
