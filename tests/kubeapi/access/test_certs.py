"""Certificates: made once, renewed when they have to be, trusted by the CA that clients get."""

from __future__ import annotations

import pytest
from cryptography import x509

from kubeapi.access import certs
from kubeapi.errors import StateError


@pytest.fixture
def files(tmp_path):
    return certs.ensure(tmp_path, "127.0.0.1")


def names(files):
    found = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(a) for a in extension.get_values_for_type(x509.IPAddress)}
    return addresses | set(extension.get_values_for_type(x509.DNSName))


def test_they_are_kept(files, tmp_path):
    before = files.certificate.read_bytes()
    assert certs.ensure(tmp_path, "127.0.0.1") == files
    assert files.certificate.read_bytes() == before


def test_the_ca_signed_the_servers(files):
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    x509.load_pem_x509_certificate(files.certificate.read_bytes()).verify_directly_issued_by(authority)
    assert {"127.0.0.1", "localhost"} <= names(files)


def test_another_host_gets_another_certificate_of_the_same_ca(files, tmp_path):
    authority = files.ca.read_bytes()
    certs.ensure(tmp_path, "bailie.test")
    assert "bailie.test" in names(files)
    assert files.ca.read_bytes() == authority


def test_a_new_ca_signs_anew(files, tmp_path):
    files.ca.unlink()
    certs.ensure(tmp_path, "127.0.0.1")
    test_the_ca_signed_the_servers(files)


@pytest.mark.parametrize("name", ["ca", "certificate", "key"])
def test_a_damaged_file_is_one_sentence(files, tmp_path, name):
    getattr(files, name).write_text("nonsense")
    with pytest.raises(StateError, match=f"in {files.ca.parent} is damaged: remove the folder"):
        certs.ensure(files.ca.parent, "127.0.0.1")


def test_an_old_certificate_is_renewed(files, tmp_path):
    before = files.certificate.read_bytes()
    (tmp_path / "server.valid").write_text("127.0.0.1 2001-01-01T00:00:00Z\n")
    certs.ensure(tmp_path, "127.0.0.1")
    assert files.certificate.read_bytes() != before
