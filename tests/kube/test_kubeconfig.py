"""Kubeconfigs that cannot be used: a sentence with the file, whatever is in it."""

from __future__ import annotations

import base64
import contextlib
import copy
import re

import pytest
import yaml
from hypothesis import given
from tests.support.anyjson import changed

from bailie.kube import errors
from bailie.kube.client import Client
from bailie.kube.kubeconfig import read_config

GOOD = {
    "current-context": "c",
    "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "a"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}
NO_PEM = base64.b64encode(b"no certificate").decode()


def with_cluster(**fields):
    found = copy.deepcopy(GOOD)
    found["clusters"][0]["cluster"].update(fields)
    return found


def with_context(**fields):
    found = copy.deepcopy(GOOD)
    found["contexts"][0]["context"].update(fields)
    return found


def with_user(**fields):
    return {**GOOD, "users": [{"name": "u", "user": fields}]}


WRONG = {
    "an address that is a number": (with_cluster(server=5), "server"),
    "an address that is none": (with_cluster(server="https://a:b:c"), "the address of its cluster is none"),
    "an address without a host": (with_cluster(server="https://"), "the address of its cluster is none"),
    "an address of a file": (with_cluster(server="file:///etc/passwd"), "is none"),
    "an address with an order to the terminal": (with_cluster(server="\x1b[31m"), r"\u001b[31m"),
    "a port that is none": (with_cluster(server="https://a:99999"), "the address of its cluster is none"),
    "a namespace that is none": (with_context(namespace="A/b"), '"A/b" is no DNS label'),
    "a cluster that is not there": (with_context(cluster="other"), "lacks 'other'"),
    "a user that is not there": (with_context(user="other"), "lacks 'other'"),
    "no clusters": ({key: GOOD[key] for key in GOOD if key != "clusters"}, "lacks 'clusters'"),
    "clusters that are none": ({**GOOD, "clusters": 5}, "a part of it has another type"),
    "an entry that is none": ({**GOOD, "contexts": ["c"]}, "a part of it has another type"),
    "a context that is a list": ({**GOOD, "current-context": ["c"]}, "another type"),
    "a certificate that is none": (with_cluster(**{"certificate-authority-data": NO_PEM}), "certificates"),
    "a certificate that is not there": (with_cluster(**{"certificate-authority": "/none"}), "certificates"),
    "a client's certificate that is not there": (
        with_user(**{"client-certificate": "/none", "client-key": "/none"}),
        "certificates",
    ),
}


@pytest.mark.parametrize(("content", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_field_that_cannot_be_used_is_told_with_the_file(tmp_path, content, says):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(errors.Unconfigured, match=f"(?s){re.escape(str(path))}.*{re.escape(says)}"):
        Client.from_kubeconfig(path)


FILES = {
    "cut in half": yaml.safe_dump(GOOD)[:60].encode(),
    "no text": b"\x80\x04\x95",
    "thousands of levels": b"[" * 5000,
    "a text": b"kubeconfig",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path, content):
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(errors.Unconfigured, match=re.escape(str(path))):
        read_config(path)


def test_a_folder_is_no_kubeconfig(tmp_path):
    with pytest.raises(errors.Unconfigured, match="cannot be read: Is a directory"):
        read_config(tmp_path)


@given(changed(GOOD))
def test_whatever_the_fields_are_it_is_a_kubeconfig_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any-kubeconfig"
    path.write_text(yaml.safe_dump(content))
    with contextlib.suppress(errors.Unconfigured):
        assert Client.from_kubeconfig(path).server
