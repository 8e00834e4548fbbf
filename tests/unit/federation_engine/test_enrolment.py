"""A certificate is issued for a request signed by the site, for this authority, under an agreement in force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.federation.flare import Authority, EnrolmentRequest, fingerprint, flare_name
from synthema.federation.flare.enrolment import key_pem, private_key, request_certificate, require_issued
from tests.unit.federation.world import Keys, Resolver, site

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("synthema", NOW)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return private_key()


@pytest.fixture(scope="module")
def resolver() -> Resolver:
    return Resolver({site(0): Keys(), site(1): Keys()})


@pytest.fixture
def wish(authority: Authority, key: rsa.RSAPrivateKey, resolver: Resolver) -> EnrolmentRequest:
    return request_certificate(site(0), "agreement-1", fingerprint(authority.pem), key, resolver.keys[site(0)])


def in_force(did: str, agreement: str) -> str | None:
    return None if (did, agreement) == (site(0), "agreement-1") else "there is no such agreement"


def test_a_site_gets_a_certificate_for_its_own_key_and_no_more(
    authority: Authority, key: rsa.RSAPrivateKey, resolver: Resolver, wish: EnrolmentRequest
) -> None:
    assert "PRIVATE" not in wish.model_dump_json()
    certificate = x509.load_pem_x509_certificate(authority.enrol(wish, resolver, in_force, NOW))
    certificate.verify_directly_issued_by(authority.certificate)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == f"O=synthema,CN={flare_name(site(0))}"
    assert certificate.not_valid_after_utc - NOW == timedelta(days=90)
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.BasicConstraints)


def test_without_an_agreement_there_is_no_certificate(
    authority: Authority, resolver: Resolver, wish: EnrolmentRequest
) -> None:
    with pytest.raises(DeniedError, match="there is no such agreement"):
        authority.enrol(wish, resolver, lambda *_: "there is no such agreement", NOW)


@pytest.mark.parametrize(
    "change", [{"agreement": "agreement-2"}, {"site": site(1)}, {"signature": "AAAA"}, {"key": "log"}]
)
def test_a_request_changed_on_the_way_is_refused(
    authority: Authority, resolver: Resolver, wish: EnrolmentRequest, change: dict[str, str]
) -> None:
    with pytest.raises(IntegrityError):
        authority.enrol(wish.model_copy(update=change), resolver, lambda *_: None, NOW)


def test_a_request_for_another_authority_is_refused(
    authority: Authority, key: rsa.RSAPrivateKey, resolver: Resolver
) -> None:
    other = request_certificate(site(0), "agreement-1", "sha256:" + "0" * 64, key, resolver.keys[site(0)])
    with pytest.raises(IntegrityError, match="another authority"):
        authority.enrol(other, resolver, in_force, NOW)


def resigned(wish: EnrolmentRequest, pem: str, keys: Keys) -> EnrolmentRequest:
    import base64

    changed = wish.model_copy(update={"request": pem})
    signature = base64.b64encode(keys.sign("assertion", changed.signed_bytes())).decode()
    return changed.model_copy(update={"signature": signature})


def test_a_request_in_another_name_with_a_weak_key_or_of_no_form_is_refused(
    authority: Authority, key: rsa.RSAPrivateKey, resolver: Resolver, wish: EnrolmentRequest
) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    theirs = request_certificate(site(1), "agreement-1", fingerprint(authority.pem), key, resolver.keys[site(1)])
    own = x509.load_pem_x509_csr(wish.request.encode()).subject
    small = x509.CertificateSigningRequestBuilder().subject_name(own).sign(weak, hashes.SHA256())
    cases = {
        "names another party": theirs.request,
        "needs an RSA key": small.public_bytes(serialization.Encoding.PEM).decode(),
        "not a certificate request": "-----BEGIN NOTHING-----",
    }
    for problem, pem in cases.items():
        with pytest.raises(InputError, match=problem):
            authority.enrol(resigned(wish, pem, resolver.keys[site(0)]), resolver, in_force, NOW)


def test_names_at_flare_do_not_collide_and_hold_nothing_odd() -> None:
    names = {flare_name(f"did:web:site{number}.example") for number in range(1000)}
    assert len(names) == 1000
    assert all(name.removeprefix("site-").isalnum() and len(name) == 29 for name in names)


def test_an_authority_is_kept_encrypted_and_followed_by_another_before_it_ends(tmp_path: Path) -> None:
    made = Authority.kept(tmp_path / "engine", b"s" * 32, "engine of a hub", NOW)
    again = Authority.kept(tmp_path / "engine", b"s" * 32, "engine of a hub", NOW + timedelta(days=365))
    assert (again.pem, again.key.private_numbers()) == (made.pem, made.key.private_numbers())
    kept = tmp_path / "engine" / "authority.key"
    assert b"ENCRYPTED PRIVATE KEY" in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    with pytest.raises(IntegrityError, match="does not open"):
        Authority.kept(tmp_path / "engine", b"t" * 32, "engine of a hub", NOW)
    later = Authority.kept(tmp_path / "engine", b"s" * 32, "engine of a hub", NOW + timedelta(days=5 * 365 - 89))
    assert later.pem != made.pem


def test_a_certificate_of_another_authority_or_for_another_key_is_not_installed(
    authority: Authority, key: rsa.RSAPrivateKey
) -> None:
    ours, other = authority.issue("site-1", key.public_key(), NOW), private_key()
    require_issued(ours, authority.pem, key_pem(key))
    with pytest.raises(IntegrityError, match="did not issue"):
        require_issued(Authority.create("synthema", NOW).issue("site-1", key.public_key(), NOW), authority.pem,
                       key_pem(key))  # fmt: skip
    with pytest.raises(IntegrityError, match="for another key"):
        require_issued(authority.issue("site-1", other.public_key(), NOW), authority.pem, key_pem(key))
    with pytest.raises(IntegrityError, match="did not issue"):
        require_issued(b"nothing", authority.pem, key_pem(key))
