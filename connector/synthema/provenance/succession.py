"""The keys of one log over time: each hands the log over to the next in an entry that both sign for.

The tree goes on; only who signs its heads changes. The last head of a key is the
first of its successor: it covers exactly the entries up to the one that names
both keys, and carries both signatures. As a C2SP ``tlog-proof`` of that entry it
is a statement that anyone can check who knows either key: the former one says who
follows it, the successor says whose log it continues. So a chain of them leads
from any key of a log to any other, without a network and without a new format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from synthema.clock import from_text, to_text
from synthema.errors import InputError, IntegrityError, SynthemaError
from synthema.identity import DidResolver
from synthema.identity.did import find_key
from synthema.identity.multibase import encode_ed25519_key
from synthema.provenance.bundle import entry_in, verify_bundle
from synthema.provenance.checkpoint import (
    HeadKeys,
    VerifierKey,
    log_name,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from synthema.provenance.model import RDF_TYPE, SYNTHEMA

HANDOVER_TYPE: Final = "LogKeyHandover"
HANDOVER_TERM: Final = f"{SYNTHEMA}handover"
"""The property of a former key in a DID document: the proof of the entry in which it named its successor."""

_FRAGMENT: Final = "log"
_STATEMENT: Final = re.compile(
    rf'<(?P<step>[^<>\s]+)> <{re.escape(SYNTHEMA)}(?P<which>formerKey|successorKey)> "(?P<key>[^"\\]+)" '
    r"<(?P<graph>[^<>\s]+/log/(?P<entry>[0-9]+))> \."
)
_RECORDED: Final = re.compile(rf'<(?P<graph>[^<>\s]+)> <{re.escape(SYNTHEMA)}recordedAt> "(?P<at>[^"]+)"\S* \S+ \.')


@dataclass(frozen=True, slots=True)
class Handover:
    """One key followed by another. ``size`` is that of the one head that both sign; ``bundle`` proves it."""

    former: VerifierKey
    successor: VerifierKey
    size: int
    at: datetime
    bundle: str

    @classmethod
    def read(cls, bundle: str) -> Handover:
        """The handover that a proof shows; raises :class:`IntegrityError` unless both keys signed for it."""
        stated = _stated_in(entry_in(bundle))
        former, successor = (VerifierKey.parse(stated[which]) for which in ("formerKey", "successorKey"))
        for key in (former, successor):
            entry = verify_bundle(bundle, key)
        if former == successor or str(entry.sequence) != stated["entry"] or entry.checkpoint.size != entry.sequence + 1:
            _broken(f"entry {entry.sequence} does not end the time of one key and begin that of another")
        return cls(former, successor, entry.checkpoint.size, from_text(stated["at"]), bundle)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Every key a log has had, by the handovers from one to the next, oldest first (:class:`HeadKeys`)."""

    current: VerifierKey
    handovers: tuple[Handover, ...] = ()

    def __post_init__(self) -> None:
        followers = [handover.successor for handover in self.handovers]
        sizes = [handover.size for handover in self.handovers]
        if followers and followers != [*(handover.former for handover in self.handovers[1:]), self.current]:
            _broken("the keys of this log do not follow one another: a handover is missing, or is of another log")
        if sizes != sorted(set(sizes)):
            _broken("the handovers of this log are not in the order of its entries")

    @classmethod
    def read(cls, current: VerifierKey, bundles: Iterable[str]) -> LogKeys:
        """The keys that lead to the present one; raises :class:`IntegrityError` where a step does not hold."""
        try:
            return cls(current, tuple(Handover.read(bundle) for bundle in bundles))
        except InputError as error:
            raise IntegrityError(error.message, fix=error.fix) from error

    @property
    def name(self) -> str:
        """The log's name, which never changes."""
        return self.current.name

    @property
    def all(self) -> tuple[VerifierKey, ...]:
        """All keys, oldest first; the last one is the present one."""
        return (*(handover.former for handover in self.handovers), self.current)

    def signers(self, size: int) -> tuple[VerifierKey, ...]:
        """The key of that time; both for the head in which one followed the other."""
        for handover in self.handovers:
            if size <= handover.size:
                return (handover.former, handover.successor)[: 1 + (size == handover.size)]
        return (self.current,)

    def require(self, key: VerifierKey) -> LogKeys:
        """These keys, if one of them is the one the caller trusts; raises :class:`IntegrityError` otherwise."""
        if key not in self.all:
            _broken("no handover leads from the key you trust to the one that is published")
        return self

    def misused_in(self, note: str) -> VerifierKey | None:
        """The former key that signed this head although its time was over, if one did."""
        size = parse_checkpoint(parse_note(note).text).size
        for key in self.all[:-1]:
            if key not in self.signers(size) and _signed(note, key):
                return key
        return None


def published_keys(document: Mapping[str, Any]) -> LogKeys:
    """The keys of a party's log as its DID document gives them; raises :class:`IntegrityError`."""
    did = str(document.get("id"))
    present = find_key(document, f"{did}#{_FRAGMENT}", "assertionMethod")
    if present is None:
        _broken(f"{did[:120]} publishes no key of a log")
    name = log_name(f"https://{unquote(did.removeprefix('did:web:'))}")
    methods = [method for method in document.get("verificationMethod", ()) if isinstance(method, dict)]
    return LogKeys.read(VerifierKey(name, present), [str(m[HANDOVER_TERM]) for m in methods if HANDOVER_TERM in m])


def former_methods(did: str, keys: LogKeys) -> list[dict[str, Any]]:
    """The former keys of a log as a DID document publishes them: for what they signed in their time, and no more."""
    return [
        {
            "id": f"{did}#{_FRAGMENT}-{number}",
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": encode_ed25519_key(handover.former.public_key),
            "expires": to_text(handover.at),
            HANDOVER_TERM: handover.bundle,
        }
        for number, handover in enumerate(keys.handovers, start=1)
    ]


def log_keys(did: str, resolver: DidResolver, shown: Iterable[str] = ()) -> LogKeys:
    """The keys of a registered party's log.

    ``shown`` are heads or proofs that are about to be checked: where one is
    signed in the log's name by a key that the kept document does not know, the
    document is read anew, for the log may have got a new key since. Raises
    :class:`IntegrityError`, or what the resolver raises.
    """
    keys = published_keys(resolver.resolve(did))
    known = {key.id for key in keys.all}
    if all(key_id in known for text in shown for key_id in _key_ids(text, keys.name)):
        return keys
    return published_keys(resolver.resolve(did, newest=True))


def _stated_in(body: bytes) -> dict[str, str]:
    """What the entry of a handover says: both keys, its number, and when it was recorded."""
    lines = body.decode(errors="replace").split("\n")
    found = [match for line in lines if (match := _STATEMENT.fullmatch(line))]
    steps = {(match["step"], match["graph"]) for match in found}
    if {match["which"] for match in found} != {"formerKey", "successorKey"} or len(found) != 2 or len(steps) != 1:
        _broken("its entry does not name a former key and its successor")
    step, graph = steps.pop()
    recorded = [match["at"] for line in lines if (match := _RECORDED.fullmatch(line)) and match["graph"] == graph]
    if f"<{step}> <{RDF_TYPE}> <{SYNTHEMA}{HANDOVER_TYPE}> <{graph}> ." not in lines or len(recorded) != 1:
        _broken("its entry is not that of a handover")
    return {match["which"]: match["key"] for match in found} | {"entry": found[0]["entry"], "at": recorded[0]}


def _key_ids(text: str, name: str) -> Iterable[bytes]:
    """The ids of the keys that signed a note, or the head in a bundle, under this name."""
    _, _, lines = text.rpartition("\n\n")
    try:
        signatures = parse_note(f"\n\n{lines}").signatures
    except IntegrityError:
        return []
    return [signature.key_id for signature in signatures if signature.name == name]


def _signed(note: str, key: HeadKeys) -> bool:
    try:
        open_checkpoint(note, key)
    except SynthemaError:
        return False
    return True


def _broken(reason: str) -> NoReturn:
    raise IntegrityError(
        f"this handover of a log's key does not hold: {reason}",
        fix="ask the connector which key its log has, by another way than its address, before you rely on it",
    )
