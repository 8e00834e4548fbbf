"""did:web documents: publishing our own, and reading those of registered peers only.

A DID is resolved at the origin that was agreed when the peer joined, never at
an address that a message names. Documents are kept for a while, by the
injected clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from synthema.canonical import parse_json_strictly
from synthema.clock import Clock, from_text
from synthema.errors import DeniedError, InputError, PeerError
from synthema.identity.keys import Signer
from synthema.identity.multibase import decode_ed25519_key, encode_ed25519_key
from synthema.identity.versions import KeyVersion, RotatingSigner

PUBLISHED_KEYS = ("assertion", "log", "witness")
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_AGE = timedelta(minutes=10)
# A key that the kept document does not know may be new; but nobody may make us ask without end.
MINIMUM_AGE = timedelta(seconds=30)

_CONTEXTS = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]

Fetch = Callable[[str], bytes]


def document_url(origin: str, did: str = "") -> str:
    """Where a DID document lies below its origin (did:web method, "Read"); a did:web with a path has it there."""
    path = did.split(":")[3:] if did.startswith("did:web:") else []
    if not path:
        return f"{origin.rstrip('/')}/.well-known/did.json"
    return f"{origin.rstrip('/')}/{'/'.join(quote(unquote(part), safe='') for part in path)}/did.json"


def did_document(
    did: str,
    signer: Signer,
    public_url: str,
    services: Iterable[Mapping[str, Any]] = (),
    *,
    people: Mapping[str, bytes] | None = None,
    former: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The DID document of this connector: a Multikey for each published key.

    ``services`` are given as ``id`` (fragment or DID URL), ``type`` and
    ``serviceEndpoint``. ``people`` adds role keys, fragment → raw public key,
    so that an outsider can check the signature of a data protection officer.
    ``former`` are methods of keys that sign nothing any more: they are published
    for what they signed in their time, and listed for no purpose. A replaced
    identity key stays with its end, a revoked one without any use.
    """
    versions = [version for key_id in PUBLISHED_KEYS for version in _versions(signer, key_id)]
    methods = [_method(did, version) for version in versions]
    methods += [_method(did, KeyVersion("person", name, key)) for name, key in (people or {}).items()]
    now = signer.now() if isinstance(signer, RotatingSigner) else None
    speaking = [
        f"{did}#{version.name}"
        for version in versions
        if version.purpose == "assertion" and (now is None or version.authenticates_at(now))
    ]
    return {
        "@context": _CONTEXTS,
        "id": did,
        "alsoKnownAs": [public_url],
        "verificationMethod": [*methods, *(dict(method) for method in former)],
        "assertionMethod": [method["id"] for method in methods if "revoked" not in method],
        "authentication": speaking,
        # Self-issued tokens are signed with a key that stands here (DCP 1.0.1, "Validating Self-Issued ID Tokens").
        "capabilityInvocation": speaking,
        "service": [_service(did, service) for service in services],
    }


def _versions(signer: Signer, key_id: str) -> tuple[KeyVersion, ...]:
    if isinstance(signer, RotatingSigner):
        return signer.versions(key_id)
    return (KeyVersion(key_id, key_id, signer.public_key(key_id)),)


def _method(did: str, version: KeyVersion) -> dict[str, str]:
    method = {
        "id": f"{did}#{version.name}",
        "type": "Multikey",
        "controller": did,
        "publicKeyMultibase": encode_ed25519_key(version.public_key),
    }
    if version.expires is None:
        return method
    until = version.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    return method | {"expires": until} | ({"revoked": until} if version.revoked else {})


def _service(did: str, service: Mapping[str, Any]) -> dict[str, Any]:
    if not {"id", "type", "serviceEndpoint"} <= service.keys():
        raise InputError("a service of the DID document is incomplete", fix="give id, type and serviceEndpoint")
    identifier = str(service["id"])
    return {**service, "id": identifier if identifier.startswith("did:") else f"{did}#{identifier.lstrip('#')}"}


@dataclass(frozen=True, slots=True)
class _Kept:
    document: dict[str, Any]
    fetched_at: datetime


class DidResolver:
    """Finds the keys of registered parties. ``trusted`` maps each peer's DID to its registered origin; it may change.

    ``own`` holds documents that need no fetching, such as this connector's.
    ``fetch`` gets an address and returns bytes; it must not follow redirects.
    """

    def __init__(
        self,
        fetch: Fetch,
        trusted: Mapping[str, str],
        clock: Clock,
        *,
        own: Mapping[str, Mapping[str, Any]] | None = None,
        max_age: timedelta = MAX_AGE,
    ) -> None:
        self._fetch = fetch
        self._trusted = trusted
        self._own = {did: dict(document) for did, document in (own or {}).items()}
        self._clock = clock
        self._max_age = max_age
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def with_origins(self, trusted: Mapping[str, str]) -> DidResolver:
        """Another resolver that reads in the same way, for these parties only and with copies of its own."""
        return DidResolver(self._fetch, trusted, self._clock, max_age=self._max_age)

    def resolve(self, did: str, *, newest: bool = False) -> dict[str, Any]:
        """The DID document of a registered party; ``newest`` asks again where our copy is not from just now.

        Raises :class:`DeniedError` for a DID that is not registered, and
        :class:`PeerError` when its origin does not answer with its document.
        """
        return self._document(did, MINIMUM_AGE if newest else self._max_age)

    def verification_key(
        self, did_url: str, purpose: str = "assertionMethod", *, made_at: datetime | None = None
    ) -> bytes:
        """The raw Ed25519 key that ``did#fragment`` names, if its DID allows it for this purpose.

        ``made_at`` is when the signature says it was made (``None``: now): a key
        that was replaced since is still good for it. Raises as :meth:`resolve`,
        and :class:`DeniedError` when the party has no such key.
        """
        did, separator, fragment = did_url.partition("#")
        if not separator or not fragment:
            raise InputError("a key is named without its fragment", fix="name it like did:web:host#assertion")
        at = made_at or self._clock.now()
        key = find_key(self.resolve(did), did_url, purpose, at) or find_key(
            self.resolve(did, newest=True), did_url, purpose, at
        )
        if key is None:
            raise DeniedError(
                f"{did} publishes no key '{fragment[:40]}' for this use",
                where=did_url[:200],
                fix="ask the other side which key it signs with, and whether its DID document is up to date",
            )
        return key

    def _document(self, did: str, max_age: timedelta) -> dict[str, Any]:
        if did in self._own:
            return self._own[did]
        origin = self._trusted.get(did)
        if origin is None:
            raise DeniedError(
                f"'{did[:120]}' is not a registered party", fix="register the peer with its DID and address first"
            )
        now = self._clock.now()
        with self._lock:
            kept = self._kept.get(did)
        # A clock that was set back makes the age negative: then the copy is not trusted either.
        if kept is not None and timedelta(0) <= now - kept.fetched_at < max_age:
            return kept.document
        document = self._read(did, document_url(origin, did))
        with self._lock:
            self._kept[did] = _Kept(document, now)
        return document

    def _read(self, did: str, url: str) -> dict[str, Any]:
        try:
            document = parse_json_strictly(self._fetch(url), max_bytes=MAX_DOCUMENT_BYTES)
        except (InputError, OSError) as error:
            raise _bad_document(url, "it could not be read") from error
        if not isinstance(document, dict) or document.get("id") != did:
            raise _bad_document(url, f"it is not the document of {did}")
        return document


def find_key(document: Mapping[str, Any], did_url: str, purpose: str, made_at: datetime | None = None) -> bytes | None:
    """The Ed25519 Multikey of this id in a DID document, if it is listed for the purpose; else ``None``.

    With ``made_at``, ``None`` as well for a key that had ended then, or is revoked now.
    """
    did = document.get("id")
    absolute = {did_url, did_url.removeprefix(str(did))}
    if not any(isinstance(entry, str) and entry in absolute for entry in _list(document.get(purpose))):
        return None
    methods = [
        method
        for method in _list(document.get("verificationMethod"))
        if isinstance(method, dict) and method.get("id") in absolute
    ]
    # Two methods under one id could be read differently by two readers.
    if len(methods) != 1 or methods[0].get("controller") != did or methods[0].get("type") != "Multikey":
        return None
    if made_at is not None and not counts_at(methods[0], made_at):
        return None
    text = methods[0].get("publicKeyMultibase")
    try:
        return decode_ed25519_key(text) if isinstance(text, str) else None
    except InputError:
        return None


def counts_at(method: Mapping[str, Any], made_at: datetime) -> bool:
    """Whether a signature made at this moment counts under a published key: before its end, and if it is not revoked.

    A revoked key opens nothing, whenever the signature says it was made: who stole the key also writes the date.
    """
    if "revoked" in method:
        return False
    expires = method.get("expires")
    try:
        return expires is None or made_at < from_text(expires)
    except (InputError, TypeError):
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _bad_document(url: str, reason: str) -> PeerError:
    return PeerError(
        f"the DID document cannot be used: {reason}", where=url, fix="ask the other side to publish it at this address"
    )
