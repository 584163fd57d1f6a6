"""A certificate that signs itself: made once, for those who reach this machine over a network of their own."""

import ipaddress
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omni.core.errors import BadFile
from omni.core.files import write_atomic
from omni.core.paths import Home

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, GeneralName

DAYS = 825  # some systems take none that is good for longer
_RENEW = timedelta(days=30)
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


class Made(NamedTuple):
    """The files, what a person compares, and whether it is a new one."""

    certificate: Path
    key: Path
    fingerprint: str
    new: bool


def certificate(home: Home, names: Iterable[str]) -> Made:
    """The certificate of this home, made anew when it is missing, ends soon, or lacks one of the names. Blocking."""
    from cryptography import x509

    wanted = [*dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname(), *names))]
    wanted = [name for name in wanted if name not in _EVERYWHERE and _can_be_named(name)]
    path, key = home.certificate, home.certificate_key
    if path.exists() and key.exists():
        try:
            existing = x509.load_pem_x509_certificate(path.read_bytes())
        except (ValueError, OSError):
            existing = None
        if existing is not None and _serves(existing, wanted):
            return Made(path, key, _fingerprint(existing), False)
    return Made(path, key, _fingerprint(_make(path, key, wanted)), True)


def fingerprint(path: Path) -> str:
    """The SHA-256 of the first certificate in a file, as browsers show it. Raises BadFile."""
    from cryptography import x509

    try:
        return _fingerprint(x509.load_pem_x509_certificate(path.read_bytes()))
    except OSError as error:
        raise BadFile(f"The certificate {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadFile(
            f"{path} is no certificate.", hint="It is a PEM file that begins with BEGIN CERTIFICATE."
        ) from error


def _make(path: Path, key_path: Path, names: list[str]) -> "Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Omni on this machine")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=DAYS - 1))
        .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    made = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomic(key_path, secret)
    write_atomic(path, made.public_bytes(serialization.Encoding.PEM))
    return made


def _general(name: str) -> "GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _can_be_named(name: str) -> bool:
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def _serves(cert: "Certificate", names: list[str]) -> bool:
    from cryptography import x509

    try:
        there = set(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return False
    return cert.not_valid_after_utc - _RENEW > datetime.now(UTC) and all(_general(name) in there for name in names)


def _fingerprint(cert: "Certificate") -> str:
    from cryptography.hazmat.primitives import hashes

    return cert.fingerprint(hashes.SHA256()).hex(":").upper()
