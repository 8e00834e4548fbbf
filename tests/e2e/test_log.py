"""The log of a real run, as others meet it: checked by SHACL and a PROV library, asked by an auditor, witnessed.

The hospital's partner answers over real HTTP on loopback.
"""

from __future__ import annotations

import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyshacl
import pytest
import rdflib
import uvicorn
from prov.model import ProvActivity, ProvAgent, ProvAssociation, ProvDocument

from synthema.assembly import Connector, initialise
from synthema.assembly.operations import find_operation
from synthema.clock import to_text
from synthema.config import Peer, load_settings
from synthema.demo import house as demo
from synthema.demo.processes import free_ports
from synthema.errors import DeniedError, InputError, IntegrityError, NotFoundError
from synthema.identity import FileSigner, read_passphrase_file
from synthema.provenance import (
    Checkpoint,
    VerifierKey,
    log_name,
    make_bundle,
    open_checkpoint,
    published_keys,
    question_bytes,
    serialise,
    verify_bundle,
    verify_tiles,
    witness_request,
    write_tiles,
)
from synthema.provenance.checkpoint import sign_checkpoint
from synthema.provenance.store import add_entry, log_checkpoints, log_entries, log_nodes, tail_of
from synthema.resources import bundled
from synthema.web.public import public_app
from tests.e2e.house import House, Settled

pytestmark = pytest.mark.e2e

PREFIXES = "PREFIX prov: <http://www.w3.org/ns/prov#> PREFIX syn: <https://w3id.org/synthema/ns#> "


@pytest.fixture
def ran(house: House) -> House:
    """A hospital that has run one request to its release."""
    answer = house.call("request/submit", {"request": house.wish()})
    assert answer["verdict"]["released"]
    return house


def test_the_log_of_a_run_keeps_the_shapes_and_others_read_it(ran: House) -> None:
    text = ran.call("log/export", {"form": "turtle"})["turtle"]
    shapes = rdflib.Graph().parse(bundled("ontologies") / "shapes" / "provenance.ttl")
    for entry in ran.connector.log.entries(limit=1000):
        alone = rdflib.Graph().parse(data=serialise([entry.body], "turtle"), format="turtle")
        conforms, _, told = pyshacl.validate(alone, shacl_graph=shapes, inference="none")
        assert conforms, f"entry {entry.sequence}: {told}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of rdflib, in the PROV library
        document = ProvDocument.deserialize(content=text, format="rdf", rdf_format="turtle")
    kinds = {str(value) for record in document.get_records(ProvActivity) for _, value in record.attributes}
    assert {"syn:PolicyDecision", "syn:Granting", "syn:Run", "syn:Quarantine", "syn:Release"} <= kinds
    agents = {str(value) for record in document.get_records(ProvAgent) for _, value in record.attributes}
    assert {"prov:Organization", "prov:Person"} <= agents
    plans = [str(record) for record in document.get_records(ProvAssociation) if "grant-" in str(record)]
    assert plans, "no agent of the run has its grant as plan"
    run = rdflib.Graph().parse(data=text, format="turtle")
    found = run.query(
        PREFIXES
        + """SELECT ?digest ?effect { ?run a syn:Run ; prov:startedAtTime ?began ; prov:endedAtTime ?ended ;
             prov:used ?decision ; prov:wasAssociatedWith ?plugin .
             ?decision syn:effect ?effect . ?plugin a prov:SoftwareAgent ; syn:digest ?digest }"""
    )
    assert {(str(row.digest)[:7], str(row.effect)) for row in found} == {("sha256:", "permit")}  # type: ignore[union-attr]


def test_named_questions_are_answered_in_sentences(ran: House, settled: Settled) -> None:
    def ask(question: str, about: str, **more: str) -> str:
        return "\n".join(ran.call("lineage/ask", {"question": question, "about": about, **more})["sentences"])

    patient = settled.patients.table.splitlines()[1].split(",")[0]
    assert "run started" in ask("permit", ran.permit)
    assert "Outputs released" in ask("permit", ran.permit)
    assert "run started" in ask("plugin", _digest_of_a_plugin(ran))
    assert "Outputs placed in quarantine" in ask("patient", patient, dataset="mgus")
    assert "run started" in ask("seen", "2026-11")
    assert ask("seen", "2026-03").endswith("The log holds nothing about this.")
    with pytest.raises(NotFoundError, match="no dataset version"):
        ask("patient", "0" * 64)
    for wrong in ("2026-13", "march", "0000", "2026-03-00"):
        with pytest.raises(InputError, match="not a time"):
            ask("seen", wrong)
    with pytest.raises(InputError, match="not the token"):
        ask("patient", "1017")


def _digest_of_a_plugin(house: House) -> str:
    return str(next(p["digest"] for p in house.call("plugin/list") if p["name"] == "marginals"))


def test_an_auditor_asks_freely_and_the_log_remembers(ran: House) -> None:
    log, now = ran.connector.log, ran.connector.clock.now()
    auditor, officer = ran._register("auditor"), ran.signatories[0]
    question = PREFIXES + "SELECT ?run { ?run a syn:Run }"

    def ask(who: demo.Signatory, **changes: str) -> Any:
        signature = who.sign(question_bytes(log.origin, question, now).hex())
        value = {"question": question, "person": who.person, "asked": to_text(now), "signature": signature}
        return ran.call("log/query", value | changes)

    size = log.size()
    found = ask(auditor)
    assert len(found["answer"]["results"]["bindings"]) == 1
    entry = log.entry(found["entry"]).body.decode()
    assert (found["entry"], log.size()) == (size, size + 1)
    assert "LogQuestion" in entry
    assert auditor.person in entry
    assert "SELECT" not in entry
    with pytest.raises(DeniedError, match="only an auditor"):
        ask(officer)
    with pytest.raises(IntegrityError):
        ask(auditor, question=question + " LIMIT 1")
    with pytest.raises(IntegrityError):
        ask(auditor, asked="2026-11-22T10:00:01Z")
    ran.connector.clock.advance(timedelta(minutes=6))  # type: ignore[attr-defined]
    with pytest.raises(DeniedError, match="another time"):
        ask(auditor)
    assert log.size() == size + 1


def test_what_is_exported_convinces_a_stranger(ran: House, tmp_path: Path) -> None:
    proof = ran.call("log/prove", {"entry": 7})
    key = VerifierKey.parse(proof["key"])
    assert verify_bundle(proof["proof"], key).body == ran.connector.log.entry(7).body
    head = ran.call("log/checkpoint")
    bodies = [entry["body"].encode() for entry in ran.call("log/entries", {"limit": 1000})]
    write_tiles(tmp_path / "tiles", head["checkpoint"], key, bodies)
    assert verify_tiles(tmp_path / "tiles", key).checkpoint.size == head["size"]
    assert ran.call("log/reindex")["entries"] == head["size"]
    assert ran.call("log/verify", {"since": 5})["sentence"].startswith("From entry 5 on")


# ── a witness over real HTTP ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Pair:
    """Two connectors that know each other, both answering over HTTP."""

    hospital: Connector
    partner: Connector

    def witness(self, body: bytes) -> httpx.Response:
        """Ask the partner to cosign, as any client of tlog-witness would."""
        url = self.partner.settings.public_url + "/witness/add-checkpoint"
        return httpx.post(url, content=body, headers={"Content-Type": "text/plain"}, trust_env=False)

    def message(self) -> int:
        """A message of the Dataspace Protocol from the hospital to its partner; returns the status."""
        body = {
            "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
            "@type": "ContractNegotiationTerminationMessage",
            "providerPid": "x",
            "consumerPid": "y",
        }
        return self.hospital.peers.post(self.partner.settings.did, "/dsp/negotiations/x/termination", body)[0]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    addresses = [f"http://127.0.0.1:{free_ports(1)[0]}" for _ in range(4)]
    names = ("hospital", "partner")
    peers = [
        Peer(did=f"did:web:127.0.0.1%3A{url.rpartition(':')[2]}", url=url, role=role, name=name)
        for url, role, name in zip(addresses, ("site", "hub"), names, strict=False)
    ]
    for peer, other, management in zip(peers, reversed(peers), addresses[2:], strict=True):
        initialise(
            tmp_path / peer.name,
            name=peer.name,
            role=peer.role,
            public_url=peer.url,
            management_url=management,
            mode="demo",
            peers=[other],
        )
    hospital, partner = (Connector.open(load_settings(tmp_path / name)) for name in names)
    try:
        with _served(hospital), _served(partner):
            yield Pair(hospital, partner)
    finally:
        hospital.close()
        partner.close()


@contextmanager
def _served(connector: Connector) -> Iterator[None]:
    port = int(connector.settings.public_url.rpartition(":")[2])
    server = uvicorn.Server(uvicorn.Config(public_app(connector), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _remember(connector: Connector, count: int = 1) -> None:
    """Let something happen that the log records."""
    for _ in range(count):
        key = demo.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        connector.people.register(["clinician"], key)


def _rewritten(connector: Connector) -> None:
    """An insider rewrites an entry and all that follows from it, and signs it with the connector's real key."""
    entries = connector.log.entries(limit=1000)

    def work(connection: Any) -> None:
        for table in (log_entries, log_nodes, log_checkpoints):
            connection.execute(table.delete())
        for entry in entries:
            body = entry.body.replace(b"clinician", b"researcher") if entry.sequence == 2 else entry.body
            add_entry(connection, tail_of(connection), entry.graph, body, entry.recorded_at)

    connector.database.write(work)
    connector.log.verify()  # inside the house nothing shows


def test_the_witness_answers_as_the_specification_says(pair: Pair) -> None:
    log = pair.hospital.log
    _remember(pair.hospital, 4)
    first = log.checkpoint()
    answer = pair.witness(witness_request(0, (), first))
    assert answer.status_code == 200
    log.keep_cosignature(first, answer.text, pair.partner.witness.key)
    _remember(pair.hospital, 3)
    second = log.checkpoint()
    stale = pair.witness(witness_request(0, (), second))
    assert (stale.status_code, stale.text, stale.headers["content-type"]) == (409, "4\n", "text/x.tlog.size")
    assert pair.witness(witness_request(4, (), second)).status_code == 422
    assert pair.witness(witness_request(4, log.consistency_proof(4), second)).status_code == 200
    forged = second.replace(second.split("\n")[4], pair.partner.log.checkpoint().split("\n")[4])
    assert pair.witness(witness_request(7, (), forged)).status_code == 403
    assert pair.witness(witness_request(0, (), pair.partner.log.checkpoint())).status_code == 404
    assert pair.witness(b"old x\n\n").status_code == 400
    public = httpx.get(f"{pair.hospital.settings.public_url}/log/checkpoint", trust_env=False).text
    assert public.startswith(second)


def test_every_message_carries_the_head_and_comes_back_cosigned(pair: Pair) -> None:
    log = pair.hospital.log
    for count in (3, 2):
        _remember(pair.hospital, count)
        pair.message()
        (line,) = log.cosignatures(log.size())
        assert line.split(" ")[1] == pair.partner.witness.key.name
    (seen,) = pair.partner.witness.witnessed()
    assert (seen.origin, seen.size) == (log_name(pair.hospital.settings.public_url), log.size())
    assert pair.hospital.housekeeping.witness().keys() == {pair.partner.settings.did}


def test_an_insider_with_the_real_key_is_caught_by_the_witness(pair: Pair) -> None:
    _remember(pair.hospital, 5)
    assert pair.message() == 404  # understood, and about a negotiation that is none
    _rewritten(pair.hospital)
    _remember(pair.hospital)
    assert pair.message() == 422  # not even looked at
    with pytest.raises(IntegrityError, match="contradicts"):
        pair.hospital.housekeeping.witness()
    found = pair.partner.witness.findings()
    assert {finding.origin for finding in found} == {log_name(pair.hospital.settings.public_url)}
    key = pair.hospital.log.key
    for finding in found:
        heads = [open_checkpoint(note, key) for note in (finding.cosigned_note, finding.refused_note)]
        assert heads[0].size <= heads[1].size  # both are signed with the hospital's own key: that is the evidence


# ── another key ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _half_a_minute_later(connector: Connector) -> None:
    """A connector asks for a document again only when its copy is older than that."""
    connector.resolver._kept.clear()


def test_a_new_key_is_followed_over_http_and_the_old_one_is_caught(pair: Pair, tmp_path: Path) -> None:
    log, partner = pair.hospital.log, pair.partner
    _remember(pair.hospital, 4)
    pair.message()
    copied = tmp_path / "copied"
    shutil.copytree(pair.hospital.settings.home / "keys", copied)
    insider = FileSigner.open(copied, read_passphrase_file(pair.hospital.settings.home / "secrets" / "passphrase"))
    proof, old_key = make_bundle(log, 1), log.key
    rotated = find_operation("log/rotate").call(pair.hospital, {"reason": "The key was two years old."})
    assert rotated["key"] == str(old_key)
    (seen,) = partner.witness.witnessed()
    assert seen.size == log.size() == rotated["entry"] + 1, "the partner cosigned the first head of the new key"
    _half_a_minute_later(partner)
    _remember(pair.hospital, 2)
    pair.message()
    (seen,) = partner.witness.witnessed()
    assert (seen.size, partner.witness.findings()) == (log.size(), ())
    known = published_keys(partner.resolver.resolve(pair.hospital.settings.did))
    assert known == log.keys
    assert verify_bundle(proof, known).sequence == 1
    # Somebody copied the keys before. They sign one more head of the very log, and are found out.
    _remember(pair.hospital)
    size = log.size()
    note = sign_checkpoint(Checkpoint(log.name, size, log.root()), old_key, lambda data: insider.sign("log", data))
    answer = pair.witness(witness_request(size - 1, log.consistency_proof(size - 1), note))
    assert answer.status_code == 403
    (finding,) = partner.witness.findings()
    assert finding.refused_note == note
    assert "whose time is over" in finding.reason
    assert pair.message() == 404, "the connector itself, with its new key, is still understood"
