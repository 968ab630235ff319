"""A caller speaks for the namespace that it names, or for the home; its token is that namespace's."""

from __future__ import annotations

import pytest

from bailie.kube.tenants import NotServed, Tenants
from bailie.kube.token import NAMESPACE_KEY, TokenFile, Verdict


@pytest.fixture
def tenants(tmp_path):
    files = {name: tmp_path / name for name in ("home", "other")}
    for name, file in files.items():
        file.write_text(f"token-of-{name}")
    return Tenants("home", {name: TokenFile(file) for name, file in files.items()})


@pytest.mark.parametrize(
    ("named", "namespace"), [(None, "home"), ("", "home"), ("home", "home"), ("other", "other")]
)
def test_a_namespace_is_found_with_its_own_token(tenants, named, namespace):
    metadata = [("authorization", f"Bearer token-of-{namespace}")]
    metadata += [] if named is None else [(NAMESPACE_KEY, named)]
    found = tenants.of(metadata)
    assert found.namespace == namespace
    assert found.token.check(metadata) is Verdict.GOOD
    others = {"home": "other", "other": "home"}
    assert found.token.check([("authorization", f"Bearer token-of-{others[namespace]}")]) is Verdict.WRONG


@pytest.mark.parametrize("named", ["nowhere", "Home", "x" * 10_000])
def test_a_namespace_that_is_not_served_is_refused_by_name(tenants, named):
    with pytest.raises(NotServed) as refused:
        tenants.of([(NAMESPACE_KEY, named)])
    assert str(refused.value) == f"this scheduler does not serve namespace {named[:63]!r}"


def test_a_namespace_in_bytes_names_none(tenants):
    assert tenants.of([(NAMESPACE_KEY, b"other")]).namespace == "home"
