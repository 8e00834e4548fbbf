"""Records and receipts: what is in them, that both forms say the same, and that our shapes hold and bite."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest

from synthema.clock import FixedClock
from synthema.consent import (
    ConsentItem,
    ConsentStore,
    WithdrawalLevel,
    consent_receipt,
    consent_record,
    read_notice,
    representative,
    turtle,
)
from synthema.consent.model import DPV
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.resources import bundled
from tests.unit.consent.support import CONSENT, HEALTH_RESEARCH, NOW, notice
from tests.unit.datasets.support import ORIGIN

SHAPES = bundled("ontologies") / "shapes" / "consent.ttl"
VOCABULARY = Path(__file__).parents[4] / "shared" / "standards" / "vocabularies" / "dpv" / "dpv.ttl"

MANDATORY = {
    *("hasIdentifier", "hasDataSubject", "hasNotice", "hasProcess", "hasPurpose", "hasLegalBasis", "hasPersonalData"),
    *("hasDataController", "hasProcessing", "hasDataSource", "hasStorageCondition", "hasLocation", "hasJurisdiction"),
    *("hasRecipient", "hasRight", "isExercisedAt", "hasConsentStatus", "hasConsentControl", "isIndicatedAtTime"),
    *("isIndicatedBy", "hasName", "hasAddress", "hasContact", "hasDuration", "hasDataProtectionOfficer"),
}


@pytest.fixture
def receipt(consents: ConsentStore, clock: FixedClock) -> dict[str, Any]:
    give(consents)
    return consent_receipt(history(consents), notice(), ORIGIN, clock.now())


def give(consents: ConsentStore) -> None:
    consents.keep_notice(notice())
    consents.give("mgus", "K-1", items=[ConsentItem.SECONDARY_USE, ConsentItem.RECONTACT], notice_version="2.1")


def history(consents: ConsentStore) -> Any:
    return consents.standing("mgus", "K-1", CONSENT).history


@pytest.mark.article("GDPR 7(1)")
def test_a_record_holds_every_field_of_the_standard(receipt: dict[str, Any], consents: ConsentStore) -> None:
    record = consent_record(history(consents), notice(), ORIGIN)
    for document in (record, receipt):
        said = {triple.predicate.value.removeprefix(DPV) for triple in triples(document)}
        assert not MANDATORY - said
        assert "K-1" not in json.dumps(document)
    assert receipt["dct:references"] == record["@id"]


@pytest.mark.article("GDPR 7(3)")
def test_a_record_keeps_every_event_and_a_receipt_the_last(consents: ConsentStore, clock: FixedClock) -> None:
    give(consents)
    clock.advance(timedelta(days=1))
    consents.withdraw("mgus", "K-1", WithdrawalLevel.CONTACT)
    clock.advance(timedelta(days=1))
    consents.withdraw("mgus", "K-1")
    record = consent_record(history(consents), notice(), ORIGIN)
    assert [event["dct:type"] for event in record["dct:hasPart"]] == [
        "consent: ConsentGiven",
        "withdrawal of consent to further contact",
        "consent: ConsentWithdrawn",
    ]
    assert record["dpv:hasConsentStatus"] == DPV + "ConsentWithdrawn"
    assert record["dct:hasVersion"] == "3"
    receipt = consent_receipt(history(consents), notice(), ORIGIN, clock.now())
    assert len(receipt["dct:hasPart"]) == 1
    rights = receipt["dpv:hasProcess"]["dpv:hasRight"]
    assert "https://registry.example/withdraw" in [right["dpv:isExercisedAt"] for right in rights]


@pytest.mark.article("GDPR 8")
def test_a_record_names_who_spoke_for_a_minor(consents: ConsentStore) -> None:
    parent = representative("parent", NOW.date(), born=date(2012, 5, 1))
    consents.give("mgus", "K-1", notice_version="2.1", representative=parent)
    (event,) = consent_record(history(consents), notice(), ORIGIN)["dct:hasPart"]
    assert event["dpv:isIndicatedBy"]["@type"] == "dpv:ParentOfDataSubject"
    assert event["syn:validTo"] == "2030-05-01T00:00:00.000000Z"


def test_purposes_of_the_person_come_before_those_of_the_notice(consents: ConsentStore) -> None:
    consents.give("mgus", "K-1", notice_version="2.1", purposes=["https://w3id.org/dpv#AcademicResearch"])
    record = consent_record(history(consents), notice(), ORIGIN)
    assert record["dpv:hasProcess"]["dpv:hasPurpose"] == ["https://w3id.org/dpv#AcademicResearch"]


def test_turtle_and_json_say_the_same(receipt: dict[str, Any]) -> None:
    again = {str(quad.triple) for quad in pyoxigraph.parse(turtle(receipt), format=pyoxigraph.RdfFormat.TURTLE)}
    assert again == {str(triple) for triple in triples(receipt)}
    assert turtle(receipt) == turtle(json.loads(json.dumps(receipt)))


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # inside rdflib's reader
def test_another_reader_reads_the_same(receipt: dict[str, Any]) -> None:
    rdflib = pytest.importorskip("rdflib")
    from_json = rdflib.Graph().parse(data=json.dumps(receipt), format="json-ld")
    from_turtle = rdflib.Graph().parse(data=turtle(receipt), format="turtle")
    assert len(from_json) == len(triples(receipt))
    assert set(from_json) == set(from_turtle)


@pytest.mark.skipif(not VOCABULARY.is_file(), reason="the Data Privacy Vocabulary is not beside this checkout")
def test_every_term_of_the_vocabulary_exists(receipt: dict[str, Any], consents: ConsentStore) -> None:
    known = {
        quad.subject.value
        for quad in pyoxigraph.parse(path=VOCABULARY, format=pyoxigraph.RdfFormat.TURTLE)
        if isinstance(quad.subject, pyoxigraph.NamedNode)
    }
    record = consent_record(history(consents), notice(), ORIGIN)
    shapes = [quad.triple for quad in pyoxigraph.parse(path=SHAPES, format=pyoxigraph.RdfFormat.TURTLE)]
    used = {
        term.value
        for triple in (*triples(receipt), *triples(record), *shapes)
        for term in (triple.subject, triple.predicate, triple.object)
        if isinstance(term, pyoxigraph.NamedNode) and term.value.startswith(DPV)
    }
    assert used
    assert not used - known


def test_the_shapes_hold(receipt: dict[str, Any], consents: ConsentStore) -> None:
    for document in (receipt, consent_record(history(consents), notice(), ORIGIN)):
        conforms, report = validate(document)
        assert conforms, report


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("dpv:hasNotice",), "names the notice"),
        (("dpv:hasNotice", "dct:language"), "ConsentNoticeShape"),
        (("dpv:hasProcess", "dpv:hasPurpose"), "ConsentProcessShape"),
        (("dpv:hasProcess", "dpv:hasRight"), "ConsentProcessShape"),
        (("dpv:hasProcess", "dpv:hasDataController", "dpv:hasContact"), "ConsentProcessShape"),
        (("dpv:hasProcess", "dpv:hasStorageCondition"), "ConsentProcessShape"),
        (("dpv:hasConsentStatus",), "in which state"),
        (("dct:hasPart",), "holds the events"),
        (("dct:references",), "names the record"),
        (("dct:conformsTo",), "which schema"),
    ],
)
def test_the_shapes_bite(receipt: dict[str, Any], path: tuple[str, ...], said: str) -> None:
    broken = copy.deepcopy(receipt)
    inner = broken
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    conforms, report = validate(broken)
    assert not conforms
    assert said in report


def test_the_shapes_do_not_let_a_name_pass_for_a_token(receipt: dict[str, Any]) -> None:
    broken = copy.deepcopy(receipt)
    broken["dpv:hasDataSubject"]["@id"] = f"{ORIGIN}/id/data-subject/somebody"
    assert not validate(broken)[0]


def validate(document: dict[str, Any]) -> tuple[bool, str]:
    pyshacl = pytest.importorskip("pyshacl")
    import rdflib

    data = rdflib.Graph().parse(data=turtle(document), format="turtle")
    conforms, _, report = pyshacl.validate(data, shacl_graph=rdflib.Graph().parse(SHAPES))
    return bool(conforms), str(report)


def triples(document: dict[str, Any]) -> list[Any]:
    text = json.dumps(document).encode()
    return [quad.triple for quad in pyoxigraph.parse(text, format=pyoxigraph.RdfFormat.JSON_LD)]


# notices -----------------------------------------------------------------------------------------------


def test_what_people_were_shown_does_not_change(consents: ConsentStore) -> None:
    first = consents.keep_notice(notice())
    assert consents.keep_notice(notice()) == first
    with pytest.raises(ConflictError, match="says something else"):
        consents.keep_notice(notice(title="Another title"))
    assert consents.notice("mgus", "2.1") == notice()
    with pytest.raises(NotFoundError):
        consents.notice("mgus", "3")


def test_a_notice_reads_from_yaml() -> None:
    import yaml

    text = yaml.safe_dump(notice().model_dump(mode="json"))
    assert read_notice(text, "notice.yaml") == notice()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"language": "English"}, "language"),
        ({"purposes": []}, "purposes"),
        ({"purposes": ["research"]}, "is not an IRI"),
        ({"legal_basis": "A9-2-j"}, "rest on consent"),
        ({"jurisdictions": ["Italy"]}, "not a country"),
        ({"controler": {}}, "did you mean 'controller'"),
        ({"withdrawal_method": "ask us"}, "withdrawal_method"),
    ],
)
def test_a_notice_that_lacks_something_is_refused(change: dict[str, Any], said: str) -> None:
    import yaml

    text = yaml.safe_dump(notice().model_dump(mode="json") | change)
    with pytest.raises(InputError) as error:
        read_notice(text, "notice.yaml")
    assert said in error.value.diagnostics()


def test_a_notice_that_is_no_yaml() -> None:
    with pytest.raises(InputError, match="not YAML"):
        read_notice("a: [", "notice.yaml")
    with pytest.raises(InputError):
        read_notice("only words", "notice.yaml")
    assert notice().purposes == (HEALTH_RESEARCH,)
