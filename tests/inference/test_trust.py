"""Clients of plain HTTP read no certificates; clients of TLS trust the machine's."""

import pytest

from bailie.inference.trust import trusted


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "HTTP://models", "127.0.0.1:9000", ""])
def test_plain_http_trusts_no_certificate_and_takes_none_unseen(url):
    context = trusted(url)
    assert context.cert_store_stats()["x509_ca"] == 0
    assert context.verify_mode.name == "CERT_REQUIRED"


@pytest.mark.parametrize("url", ["https://models.example.com", "HTTPS://models.example.com"])
def test_tls_trusts_what_the_machine_trusts(url):
    assert trusted(url) is True
