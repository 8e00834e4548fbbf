"""Certificates of a federation: a site asks under its agreement, the coordinator issues; the key never leaves the site.

FLARE knows parties by X.509 certificates of one authority per federation. A request is a
PKCS#10 request inside a statement signed with the site's data-space identity: it names the
agreement and the authority it is meant for, so neither can be swapped on the way.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID
from pydantic import Field

from synthema import canonical
from synthema.datasets.seal import write_durably
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.federation.messages import ASSERTION_KEY
from synthema.federation.ports import DidResolver, Signer
from synthema.identity.keys import read_private_file, write_private_file
from synthema.identity.versions import current_key, is_key_of
from synthema.values import Closed

KEY_BITS = 3072
CERTIFICATE_DAYS = 90
AUTHORITY_DAYS = 5 * 365
ADMINISTRATOR = "project_admin"
_PREFIX = b"synthema federation enrolment 1\n"
_LONGEST_REQUEST = 16_384
_EARLIER = timedelta(minutes=5)


class EnrolmentRequest(Closed):
    """A site's signed wish for a certificate. ``authority`` is the fingerprint of the federation's authority."""

    site: str = Field(pattern=r"^did:\S+$")
    agreement: str
    authority: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    request: str = Field(max_length=_LONGEST_REQUEST, description="PKCS#10, PEM")
    key: str = ASSERTION_KEY
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return _PREFIX + canonical.canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def flare_name(did: str) -> str:
    """The name under which FLARE knows a party: letters and digits only, the same everywhere."""
    return f"site-{hashlib.sha256(did.encode()).hexdigest()[:24]}"


def private_key() -> rsa.RSAPrivateKey:
    """A new key. FLARE signs and encrypts with RSA, so no other kind will do."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A key as FLARE reads it: PEM without a passphrase, to be kept in a file only its owner can read."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def fingerprint(certificate: bytes) -> str:
    """The digest of a certificate in PEM form, as an agreement names it."""
    return f"sha256:{x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()}"


def request_certificate(
    site: str, agreement: str, authority: str, key: rsa.RSAPrivateKey, signer: Signer
) -> EnrolmentRequest:
    """What a site sends to its coordinator: the public half of ``key``, bound to the agreement, signed by the site."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(_name(flare_name(site))).sign(key, hashes.SHA256())
    identity = current_key(signer, ASSERTION_KEY)
    wish = EnrolmentRequest(
        site=site, agreement=agreement, authority=authority, key=identity,
        request=csr.public_bytes(serialization.Encoding.PEM).decode(),
    )  # fmt: skip
    return wish.model_copy(update={"signature": base64.b64encode(signer.sign(identity, wish.signed_bytes())).decode()})


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificate authority of one federation, held by its coordinator."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str, now: datetime, days: int = 365) -> Authority:
        """A new authority, valid for so many days."""
        key = private_key()
        builder = _builder(_name(name, organisation=False), key.public_key(), now, days).issuer_name(
            _name(name, organisation=False)
        )
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def kept(cls, folder: Path, secret: bytes, name: str, now: datetime) -> Authority:
        """The authority whose key lies in ``folder``, encrypted under ``secret``; a new one when it is about to end.

        Raises :class:`IntegrityError` when the key does not open with this secret.
        """
        key_file, certificate_file = folder / "authority.key", folder / "authority.pem"
        if key_file.is_file() and certificate_file.is_file():
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            if certificate.not_valid_after_utc - now > timedelta(days=CERTIFICATE_DAYS):
                return cls(opened_key(read_private_file(key_file), secret), certificate)
        made = cls.create(name, now, AUTHORITY_DAYS)
        encrypted = made.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(secret.hex().encode()),
        )  # fmt: skip
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_file.unlink(missing_ok=True)
        write_private_file(key_file, encrypted)
        write_durably(certificate_file, made.pem)
        return made

    @property
    def pem(self) -> bytes:
        """The authority's certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        name: str,
        public_key: rsa.RSAPublicKey,
        now: datetime,
        *,
        days: int = CERTIFICATE_DAYS,
        role: str | None = None,
    ) -> bytes:
        """A certificate (PEM) for one party of the federation; ``role`` only for whoever submits jobs."""
        builder = _builder(_name(name, role=role), public_key, now, days).issuer_name(self.certificate.subject)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def enrol(
        self, wish: EnrolmentRequest, resolver: DidResolver, agreed: Callable[[str, str], str | None], now: datetime
    ) -> bytes:
        """The certificate a site asked for. ``agreed`` says why a site's agreement is not in force, or None.

        Raises :class:`IntegrityError` when the request is not from that site or not for this authority,
        :class:`DeniedError` when there is no agreement, :class:`InputError` when it is not of the form.
        """
        _require_signed(wish, resolver)
        if wish.authority != fingerprint(self.pem):
            raise IntegrityError("the request is meant for another authority", fix="compare the authority's digest")
        refusal = agreed(wish.site, wish.agreement)
        if refusal is not None:
            raise DeniedError(f"no certificate without an agreement: {refusal}", fix="negotiate an agreement first")
        try:
            csr = x509.load_pem_x509_csr(wish.request.encode())
        except ValueError as error:
            raise InputError("this is not a certificate request", fix="send PKCS#10 in PEM form") from error
        key = csr.public_key()
        if not (csr.is_signature_valid and isinstance(key, rsa.RSAPublicKey) and key.key_size >= KEY_BITS):
            raise InputError(f"the request needs an RSA key of {KEY_BITS} bits or more", fix="make a new key")
        if csr.subject != _name(flare_name(wish.site)):
            raise InputError("the request names another party", fix="ask in your own name")
        return self.issue(flare_name(wish.site), key, now)


def require_issued(certificate: bytes, authority: bytes, key: bytes) -> None:
    """Raise :class:`IntegrityError` unless the authority issued this certificate, and for this very key (all PEM)."""
    try:
        issued = x509.load_pem_x509_certificate(certificate)
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
        ours = issued.public_key() == opened_key(key).public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IntegrityError("the authority did not issue this certificate", fix="ask the coordinator again") from error
    if not ours:
        raise IntegrityError("the certificate is for another key", fix="ask the coordinator again")


def certificate_ends(certificate: bytes) -> datetime:
    """When a certificate (PEM) runs out."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def opened_key(pem: bytes, secret: bytes | None = None) -> rsa.RSAPrivateKey:
    """A key as it lies in a file (PEM); raises :class:`IntegrityError` when it does not open with this secret."""
    try:
        key = serialization.load_pem_private_key(pem, None if secret is None else secret.hex().encode())
    except (ValueError, TypeError) as error:
        raise IntegrityError("this key does not open", fix="restore it with the connector's own keys") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise IntegrityError("this is another kind of key", fix="restore the file it was made as")
    return key


def _require_signed(wish: EnrolmentRequest, resolver: DidResolver) -> None:
    method = f"{wish.site}#{wish.key}"
    if not is_key_of(method, wish.site):
        raise IntegrityError("the request names a key that is not for statements", fix="sign with the identity's key")
    key = Ed25519PublicKey.from_public_bytes(resolver.verification_key(method))
    try:
        key.verify(base64.b64decode(wish.signature, validate=True), wish.signed_bytes())
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            f"the request is not signed by {wish.site[:120]}", fix="check that peer's registered identity"
        ) from error


def _name(common: str, *, organisation: bool = True, role: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "synthema"))
    if role is not None:
        parts.append(x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, role))
    return x509.Name(parts)


def _builder(subject: x509.Name, key: rsa.RSAPublicKey, now: datetime, days: int) -> x509.CertificateBuilder:
    common = str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common)]), critical=False)
    )
