"""Calls to other connectors: only registered ones, only at their registered address.

What protects a call:

1. the address is the one agreed when joining (:class:`synthema.config.Peer`), never one from a message;
2. its host name is resolved once, the address is judged and the connection goes to that very address
   (:mod:`.transport`), so that a name cannot point elsewhere between check and use;
3. redirects are not followed, answers are capped in size and time, JSON is read strictly;
4. each request carries a fresh self-issued token that only this peer can use (audience) and only once,
   and that lets it ask our credential service what we are.

A message also carries the head of our log, and comes back with the peer's
cosignature (:class:`synthema.provenance.Heads`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from synthema.canonical import MAX_JSON_BYTES, canonical_json, digest_bytes, parse_json_strictly
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.dataspace.addresses import is_loopback
from synthema.dataspace.transport import PinnedTransport, within
from synthema.errors import InputError, PeerError
from synthema.identity.dcp.access import Keys, SecureTokenService
from synthema.identity.did import MAX_DOCUMENT_BYTES
from synthema.provenance import ANSWER_HEADER, HEAD_HEADER, Heads

TRANSFER_HEADER = "Synthema-Transfer"
KEY_HEADER = "Idempotency-Key"
DIGEST_HEADER = "Synthema-Digest"
OCTETS = "application/octet-stream"

_TIMEOUT = httpx.Timeout(connect=5.0, read=30.0, write=30.0, pool=5.0)
_LONGEST_ANSWER = 60.0
_LONGEST_FILE = 3600.0
_LONGEST_PATH = 4096
_LONGEST_REFUSAL = 64 * 1024


class Address(NamedTuple):
    """Where a party answers, and what people call it."""

    url: str
    name: str


class PeerClient:
    """A client for the registered peers of one connector; safe to share between threads.

    All methods raise :class:`PeerError` when the peer is not registered, does
    not answer, or answers with more or other than the protocol allows.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        clock: Clock,
        heads: Heads | None = None,
        *,
        parties: Mapping[str, Peer] | None = None,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        """``parties`` are the partners by DID where they are more than those of the settings; it may change.

        ``origins`` are the addresses of parties that are no partners, such as issuers of credentials (DID to address).
        """
        self._heads = heads
        self._allows_plain_http = settings.mode == "demo"
        self._peers: Mapping[str, Peer] = (
            parties if parties is not None else {peer.did: peer for peer in settings.peers}
        )
        configured = {issuer.did: issuer.url for issuer in settings.trusted_issuers}
        self._origins: Mapping[str, str] = configured if origins is None else origins
        self.tokens = SecureTokenService(settings.did, keys, clock)
        self._http = _http_client()

    def peer(self, did: str) -> Peer:
        """The registered peer with this identifier."""
        try:
            return self._peers[did]
        except KeyError:
            raise PeerError(
                f"{did[:120]} is not a registered peer",
                fix="add it to [[peers]] in connector.toml after agreeing on it",
            ) from None

    def partners(self) -> tuple[Peer, ...]:
        """All registered peers, as they are now."""
        return tuple(self._peers.values())

    def get(self, did: str, path: str, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
        """The JSON value at a path of the peer; anything but a 2xx answer is an error."""
        return self.get_page(did, path, max_bytes=max_bytes)[0]

    def get_page(self, did: str, path: str, *, max_bytes: int = MAX_JSON_BYTES) -> tuple[Any, str | None]:
        """The JSON value at a path, and the path of the next page when the peer has one (RFC 8288)."""
        answer = self._send("GET", did, path, max_bytes=max_bytes)
        return _successful_json(answer), self._next_path(did, answer.links)

    def post(
        self, did: str, path: str, json: Any, *, key: str | None = None, max_bytes: int = MAX_JSON_BYTES
    ) -> tuple[int, Any]:
        """Send a JSON value; returns the status and the JSON of the answer (None when it holds no JSON).

        ``key`` names the message for ever: a peer that has already acted on it
        answers again without acting again, so that a lost answer can be asked anew.
        """
        answer = self._post(did, path, json, key, max_bytes)
        return answer.status, answer.json()

    def post_text(self, did: str, path: str, text: bytes) -> tuple[int, str]:
        """Send a plain text; returns the status and the text of the answer."""
        answer = self._send("POST", did, path, body=text, headers={"Content-Type": "text/plain; charset=utf-8"})
        return answer.status, answer.body.decode(errors="replace")

    def post_octets(self, did: str, path: str, content: bytes) -> tuple[int, Any]:
        """Send bytes with their digest; returns the status and the JSON of the answer (None when it holds no JSON)."""
        headers = {"Content-Type": OCTETS, DIGEST_HEADER: digest_bytes(content)}
        answer = self._post_body(did, path, content, headers, MAX_JSON_BYTES)
        return answer.status, answer.json()

    def get_octets(self, did: str, path: str, max_bytes: int) -> bytes:
        """The bytes at a path; raises :class:`PeerError` where they are not those of the digest they came with."""
        content, headers = self.get_file(did, path, max_bytes)
        if headers.get(DIGEST_HEADER.lower()) != digest_bytes(content):
            raise PeerError(
                f"{did} sent other bytes than the digest beside them says", fix="it is asked again; see its operator"
            )
        return content

    def post_page(self, did: str, path: str, json: Any) -> tuple[Any, str | None]:
        """Like :meth:`post` for a paged answer: the JSON value and the path of the next page."""
        answer = self._post(did, path, json, None, MAX_JSON_BYTES)
        return _successful_json(answer), self._next_path(did, answer.links)

    def get_bytes(self, did: str, path: str, max_bytes: int, token: str | None = None) -> bytes:
        """The bytes at a path, at most ``max_bytes``; ``token`` is a transfer's access token."""
        return self.get_file(did, path, max_bytes, token)[0]

    def get_file(
        self, did: str, path: str, max_bytes: int, token: str | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """The bytes at a path together with the answer's headers (lower-case names)."""
        headers = {TRANSFER_HEADER: token} if token else {}
        answer = self._send("GET", did, path, headers=headers, max_bytes=max_bytes)
        answer.require_success()
        return answer.body, answer.headers

    def get_part(
        self,
        did: str,
        path: str,
        first: int,
        last: int,
        *,
        max_bytes: int,
        tag: str | None = None,
        token: str | None = None,
    ) -> _Answer:
        """The bytes from ``first`` to ``last`` at a path, whatever the peer answers (RFC 9110, section 14).

        ``tag`` is the entity tag of the bytes that came before: where the peer has others by now, it gives the whole,
        of which at most ``max_bytes`` are read.
        """
        headers = {"Range": f"bytes={first}-{last}"} | ({"If-Range": tag} if tag else {})
        headers |= {TRANSFER_HEADER: token} if token else {}
        return self._send("GET", did, path, headers=headers, max_bytes=max_bytes)

    def path_of(self, did: str, url: str) -> str:
        """The path of a URL that a peer named; raises unless it lies on the peer's registered origin."""
        registered, named = urlsplit(self._address(did).url), _split(url)
        if _origin(registered) != _origin(named) or named.username is not None or named.fragment:
            raise PeerError(
                f"the address {url[:120]} is not on the registered origin of {did}",
                fix=f"use addresses below {self._address(did).url}, or register the peer's new address",
            )
        path = f"{named.path}?{named.query}" if named.query else str(named.path)
        return _checked_path(path) if path else path

    def exchange(
        self, method: str, did: str, path: str, json: Any = None, *, token: str | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        """Status, headers (lower-case names) and JSON of the answer; ``token`` stands in for the usual one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = None if json is None else canonical_json(json)
        headers |= {} if body is None else {"Content-Type": "application/json"}
        answer = self._send(method, did, path, body=body, headers=headers)
        return answer.status, answer.headers, answer.json()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def __enter__(self) -> PeerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _post(self, did: str, path: str, json: Any, key: str | None, max_bytes: int) -> _Answer:
        headers = {"Content-Type": "application/json"} | ({KEY_HEADER: key} if key else {})
        return self._post_body(did, path, canonical_json(json), headers, max_bytes)

    def _post_body(self, did: str, path: str, body: bytes, headers: dict[str, str], max_bytes: int) -> _Answer:
        """Post, and show each other the heads of our logs on the way."""
        shown = self._heads.show(did) if self._heads is not None else None
        if shown is not None:
            headers[HEAD_HEADER] = shown
        answer = self._send("POST", did, path, body=body, headers=headers, max_bytes=max_bytes)
        if self._heads is not None and shown is not None:
            self._heads.answered(did, shown, answer.headers.get(ANSWER_HEADER.lower()))
        return answer

    def _send(
        self,
        method: str,
        did: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_JSON_BYTES,
    ) -> _Answer:
        peer = self._address(did)
        base = self._safe_base(peer)
        wanted = {"Accept": "application/json, */*;q=0.1"} | dict(headers or {})
        wanted.setdefault("Authorization", f"Bearer {self.tokens.token(did)}")
        try:
            return _exchange(self._http, base, method, _checked_path(path), body, wanted, max_bytes)
        except httpx.HTTPError as error:
            raise PeerError(
                f"{peer.name} ({did}) does not answer: {type(error).__name__}",
                fix="check that the peer runs and that this machine can reach it; the connector tries again by itself",
                where=peer.url,
            ) from error

    def _address(self, did: str) -> Address:
        """Where a party answers: as a peer, or else as a party whose word is read."""
        peer, origin = self._peers.get(did), self._origins.get(did)
        if peer is None and origin is not None:
            return Address(origin, origin)
        peer = self.peer(did)
        return Address(peer.url, peer.name)

    def _safe_base(self, peer: Address) -> str:
        parts = urlsplit(peer.url)
        if parts.path not in ("", "/") or parts.query or not parts.hostname:
            raise PeerError(f"the registered address {peer.url} is not an origin", fix="register scheme and host only")
        if parts.scheme != "https" and not (self._allows_plain_http or is_loopback(parts.hostname)):
            raise PeerError(
                f"the registered address of {peer.name} is not https", fix="register the peer's https address"
            )
        return peer.url.rstrip("/")

    def _next_path(self, did: str, links: Mapping[str, str]) -> str | None:
        target = links.get("next")
        if target is None:
            return None
        return target if target.startswith("/") and not target.startswith("//") else self.path_of(did, target)


def fetch_did_document(url: str, *, allow_http: bool = False) -> bytes:
    """The bytes at a did:web address, for :class:`synthema.identity.did.DidResolver`.

    The resolver decides which addresses are asked; here the same limits hold as
    for peers (no redirects, pinned address, capped size and time), and no token
    is sent. ``allow_http`` is for demo mode: otherwise plain http is for
    loopback only.
    """
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise PeerError(f"{url[:120]} is not the address of a DID document", fix="use the did:web address of the peer")
    if parts.scheme != "https" and not (allow_http or is_loopback(parts.hostname)):
        raise PeerError(f"{url[:120]} is not https", fix="publish the DID document over https")
    base = f"{parts.scheme}://{parts.netloc}"
    with _http_client() as http:
        try:
            answer = _exchange(http, base, "GET", _checked_path(parts.path), None, {}, MAX_DOCUMENT_BYTES)
        except httpx.HTTPError as error:
            raise PeerError(
                f"no DID document at {url[:120]}: {type(error).__name__}", fix="check that the peer runs", where=url
            ) from error
    answer.require_success()
    return answer.body


class _Answer:
    """A whole answer, read within its limits."""

    def __init__(self, response: httpx.Response, body: bytes, where: str) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self.links = {str(name): str(link.get("url", "")) for name, link in response.links.items()}
        self.body = body
        self._where = where

    def json(self) -> Any:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not self.body or not (media_type == "application/json" or media_type.endswith("+json")):
            return None
        try:
            return parse_json_strictly(self.body, max_bytes=len(self.body))  # capped when it was read
        except InputError as error:
            raise PeerError(
                f"the peer's answer is not acceptable JSON: {error.message}",
                fix="tell the peer's operator: its answers must be strict JSON",
                where=self._where,
            ) from error

    def require_success(self) -> None:
        if not 200 <= self.status < 300:
            raise PeerError(
                f"the peer answered {self.status}{_reason(self)}",
                fix="look the message up in the peer's log, or ask its operator",
                where=self._where,
            )


def _http_client() -> httpx.Client:
    # trust_env=False: a proxy variable must not carry tokens elsewhere.
    return httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=PinnedTransport())


def _exchange(
    http: httpx.Client,
    base: str,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    max_bytes: int,
) -> _Answer:
    # Only plain bodies are accepted: a compressed one could unfold to any size.
    wanted = {"Accept-Encoding": "identity", "User-Agent": "synthema"} | dict(headers)
    with within(_LONGEST_FILE if max_bytes > MAX_JSON_BYTES else _LONGEST_ANSWER):
        response = http.send(http.build_request(method, base + path, content=body, headers=wanted), stream=True)
        try:
            return _Answer(response, _capped_body(response, max_bytes, base), base + path)
        finally:
            response.close()


def _capped_body(response: httpx.Response, max_bytes: int, where: str) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise PeerError("the peer compressed an answer although asked not to", fix="ask its operator", where=where)
    cap = max_bytes if response.is_success else max(max_bytes, _LONGEST_REFUSAL)
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > cap:
            raise PeerError(f"the peer sent more than {cap} bytes", fix="ask for less at a time", where=where)
        chunks.append(chunk)
    return b"".join(chunks)


def _successful_json(answer: _Answer) -> Any:
    answer.require_success()
    value = answer.json()
    if value is None:
        raise PeerError("the peer's answer holds no JSON", fix="check the peer's version of the protocol")
    return value


def _reason(answer: _Answer) -> str:
    """The peer's own words, shortened and made harmless for logs and terminals."""
    try:
        value = answer.json()
    except PeerError:
        return ""
    if not isinstance(value, dict):
        return ""
    words = [
        value.get("code"),
        value.get("message"),
        *(value["reason"] if isinstance(value.get("reason"), list) else []),
    ]
    text = "; ".join(word for word in words if isinstance(word, str))
    return ": " + "".join(c if c.isprintable() else " " for c in text[:300]) if text else ""


def _split(url: str) -> Any:
    if any(c <= " " or c >= "\x7f" or c == "\\" for c in url):  # urlsplit would drop some of them in silence
        raise PeerError(f"{url[:120]!r} holds characters that no address has", fix="percent-encode them")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise PeerError(f"'{url[:120]}' is not an address", fix="use a full https address") from error
    return parts


def _origin(parts: Any) -> tuple[str, str, int | None]:
    scheme = str(parts.scheme).lower()
    return scheme, str(parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(scheme)


def _checked_path(path: str) -> str:
    """A path that cannot change the host or climb out: absolute, printable ASCII, no dot segments."""
    if not path.startswith("/") or path.startswith("//") or len(path) > _LONGEST_PATH:
        raise PeerError(f"'{path[:80]}' is not a path of a peer", fix="start it with a single slash")
    if any(c <= " " or c >= "\x7f" or c in '\\#"<>' for c in path) or {".", ".."} & set(
        path.partition("?")[0].split("/")
    ):
        raise PeerError(f"'{path[:80]!r}' holds characters that do not belong into a path", fix="percent-encode them")
    return path
