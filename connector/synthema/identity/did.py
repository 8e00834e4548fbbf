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

from synthema.canonical import parse_json_strictly
from synthema.clock import Clock
from synthema.errors import DeniedError, InputError, PeerError
from synthema.identity.keys import Signer
from synthema.identity.multibase import decode_ed25519_key, encode_ed25519_key

PUBLISHED_KEYS = ("assertion", "log", "witness")
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_AGE = timedelta(minutes=10)
# A key that the kept document does not know may be new; but nobody may make us ask without end.
MINIMUM_AGE = timedelta(seconds=30)

_CONTEXTS = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]

Fetch = Callable[[str], bytes]


def document_url(origin: str) -> str:
    """Where the DID document of an origin lies (did:web method, "Read")."""
    return f"{origin.rstrip('/')}/.well-known/did.json"


def did_document(
    did: str,
    signer: Signer,
    public_url: str,
    services: Iterable[Mapping[str, Any]] = (),
    *,
    people: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """The DID document of this connector: a Multikey for each published key.

    ``services`` are given as ``id`` (fragment or DID URL), ``type`` and
    ``serviceEndpoint``. ``people`` adds role keys, fragment → raw public key,
    so that an outsider can check the signature of a data protection officer.
    """
    keys = {key_id: signer.public_key(key_id) for key_id in PUBLISHED_KEYS} | dict(people or {})
    methods = [
        {
            "id": f"{did}#{fragment}",
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": encode_ed25519_key(public_key),
        }
        for fragment, public_key in keys.items()
    ]
    return {
        "@context": _CONTEXTS,
        "id": did,
        "alsoKnownAs": [public_url],
        "verificationMethod": methods,
        "assertionMethod": [method["id"] for method in methods],
        "authentication": [f"{did}#assertion"],
        "service": [_service(did, service) for service in services],
    }


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
    """Finds the keys of registered parties. ``trusted`` maps each peer's DID to its registered origin.

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
        self._trusted = dict(trusted)
        self._own = {did: dict(document) for did, document in (own or {}).items()}
        self._clock = clock
        self._max_age = max_age
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def resolve(self, did: str) -> dict[str, Any]:
        """The DID document of a registered party.

        Raises :class:`DeniedError` for a DID that is not registered, and
        :class:`PeerError` when its origin does not answer with its document.
        """
        return self._document(did, self._max_age)

    def verification_key(self, did_url: str, purpose: str = "assertionMethod") -> bytes:
        """The raw Ed25519 key that ``did#fragment`` names, if its DID allows it for this purpose.

        Raises as :meth:`resolve`, and :class:`DeniedError` when the party has no such key.
        """
        did, separator, fragment = did_url.partition("#")
        if not separator or not fragment:
            raise InputError("a key is named without its fragment", fix="name it like did:web:host#assertion")
        key = find_key(self.resolve(did), did_url, purpose) or find_key(
            self._document(did, MINIMUM_AGE), did_url, purpose
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
        document = self._read(did, document_url(origin))
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


def find_key(document: Mapping[str, Any], did_url: str, purpose: str) -> bytes | None:
    """The Ed25519 Multikey of this id in a DID document, if it is listed for the purpose; else ``None``."""
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
    text = methods[0].get("publicKeyMultibase")
    try:
        return decode_ed25519_key(text) if isinstance(text, str) else None
    except InputError:
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _bad_document(url: str, reason: str) -> PeerError:
    return PeerError(
        f"the DID document cannot be used: {reason}", where=url, fix="ask the other side to publish it at this address"
    )
