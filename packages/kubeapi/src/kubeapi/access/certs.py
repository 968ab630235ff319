"""The server's certificate and the CA that signed it, generated once and kept in the state directory.

Called by `server.py` before it listens. `cryptography` is imported only when a certificate has to be made,
because the running server does not need it.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kubeapi import clock
from kubeapi.errors import StateError
from kubeapi.files import write_private

if TYPE_CHECKING:
    from pathlib import Path

_CA_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The paths of the files that uvicorn needs, and of the CA that clients need."""

    ca: Path
    certificate: Path
    key: Path


def ensure(directory: Path, host: str) -> Certificates:
    """Returns the certificates for `host`, made or renewed where needed.

    Raises:
        StateError: the files that are there cannot be read as certificates and key.
    """
    files = Certificates(directory / "ca.crt", directory / "server.crt", directory / "server.key")
    ca_key = directory / "ca.key"
    if not files.ca.exists() or not ca_key.exists():
        _make_ca(files.ca, ca_key)
        files.certificate.unlink(missing_ok=True)
    marker = directory / "server.valid"
    if not _still_valid(files, marker, host):
        _make_server(files, ca_key, host)
        until = clock.now() + timedelta(days=_SERVER_DAYS) - _RENEW_BEFORE
        write_private(marker, f"{host} {clock.stamp(until)}\n")
    _check(files)
    return files


def _check(files: Certificates) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        folder = files.ca.parent
        message = f"a certificate or key in {folder} is damaged: remove the folder, and new ones are made"
        raise StateError(message) from error


def _still_valid(files: Certificates, marker: Path, host: str) -> bool:
    if not (files.certificate.exists() and files.key.exists() and marker.exists()):
        return False
    said_host, _, until = marker.read_text().strip().partition(" ")
    return said_host == host and until > clock.stamp()


def _make_ca(certificate: Path, key: Path) -> None:
    from cryptography import x509  # noqa: PLC0415

    private = _new_key()
    name = _name("kubeapi-ca")
    builder = _builder(name, name, private.public_key(), _CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
    _write(builder.add_extension(identifier, critical=False), private, certificate, key, signer=private)


def _make_server(files: Certificates, ca_key: Path, host: str) -> None:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    issuer_key: Any = load_pem_private_key(ca_key.read_bytes(), password=None)
    issuer = x509.load_pem_x509_certificate(files.ca.read_bytes())
    private = _new_key()
    builder = _builder(_name("kubeapi-server"), issuer.subject, private.public_key(), _SERVER_DAYS)
    addresses = {"127.0.0.1", "::1", *([host] if _is_address(host) else [])}
    names = {"localhost", *([] if _is_address(host) else [host])}
    alternatives: list[x509.GeneralName] = [x509.DNSName(n) for n in sorted(names)]
    alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in sorted(addresses)]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    server_use = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    builder = (
        builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(server_use, critical=False)
        .add_extension(authority, critical=False)
    )
    _write(builder, private, files.certificate, files.key, signer=issuer_key)


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1())


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _name(common: str) -> Any:
    from cryptography import x509  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common)])


def _usage(*, sign_certificates: bool) -> Any:
    from cryptography import x509  # noqa: PLC0415

    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: Any, issuer: Any, public_key: Any, days: int) -> Any:
    from cryptography import x509  # noqa: PLC0415

    moment = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(minutes=5))
        .not_valid_after(moment + timedelta(days=days))
    )


def _write(builder: Any, private: Any, certificate: Path, key: Path, *, signer: Any) -> None:
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

    signed = builder.sign(signer, hashes.SHA256())
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key, secret)
    write_private(certificate, signed.public_bytes(serialization.Encoding.PEM))
